"""The standard pipeline around a service that fails now and then, in threads and in asyncio."""

import asyncio

import holdfast as hf


class Market:
    """In place of a service: refuses as many requests as it is told to, then answers."""

    refuses = 0

    def price(self, item: str, timeout: float | None = None) -> str:
        """Return a price, or raise what a network raises."""
        if timeout is not None and timeout <= 0:
            raise TimeoutError
        if self.refuses:
            self.refuses -= 1
            raise ConnectionRefusedError
        return f"{item}: 7"


def yesterdays_price(error: Exception) -> str:
    return f"yesterday's price, for {type(error).__name__}"


# Fallback, total timeout, retry with a budget, circuit breaker, bulkhead, attempt timeout.
prices = hf.Pipeline.standard(
    "prices",
    total_timeout=1,  # seconds for all attempts and the pauses between
    attempts=3,
    attempt_timeout=0.1,
    max_concurrent=50,
    backoff=hf.Exponential(0.005, max=0.05, jitter_mode="full"),
    fallback=yesterdays_price,
)
market = Market()


@prices  # def, async def, generator, async generator or method; the signature stays
def price(item: str) -> str:
    return market.price(item, timeout=hf.deadline(10))  # seconds that the attempt has left


@prices
async def price_of_a_slow_market(item: str, seconds: float) -> str:
    await asyncio.sleep(seconds)  # cut short when the attempt's time is over
    return market.price(item)


market.refuses = 2
print("threads: ", price("tea"))
market.refuses = 3
print("fallback:", price("tea"))
print("asyncio: ", asyncio.run(price_of_a_slow_market("rye", 0.01)))
print("too slow:", asyncio.run(price_of_a_slow_market("rye", 10)))
print("by hand: ", prices.call(market.price, "oat"))
retry = prices.snapshot().policies[2]  # outermost first, as describe() has them
print(f"retry:    {retry.attempts} attempts, {retry.recovered} recovered, {retry.failed} given up")
print(prices.describe())
