"""The metrics as an ASGI application, whose process has counted one call."""

import holdfast as hf
from holdfast.telemetry.prometheus import asgi_app

breaker = hf.CircuitBreaker("api")
breaker.call(int)
application = asgi_app()
