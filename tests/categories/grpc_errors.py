"""Calls a server through gRPC, sync and asyncio, and prints the category of each error as JSON.

A process of its own: gRPC has threads, which tests that fork must not inherit.
"""

import asyncio
import json
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
import grpc.aio

import holdfast as hf
from holdfast.categories import classify
from tests.categories.servers import refused_port


class Service(grpc.GenericRpcHandler):
    """Each method is the name of a status, with which it fails; a "-" asks for no other try."""

    def service(self, details):
        name = details.method.rpartition("/")[2]
        return grpc.unary_unary_rpc_method_handler(lambda request, call: self.fail(name, call))

    def fail(self, name, call):
        delay = "-1" if name.endswith("-") else "1500"
        call.set_trailing_metadata((("grpc-retry-pushback-ms", delay),))
        call.abort(grpc.StatusCode[name.rstrip("-")], "as it was told")


def call(channel, name, **settings):
    return channel.unary_unary(f"/test.Test/{name}")(b"", **settings)


def error_of(channel, name, **settings):
    try:
        call(channel, name, **settings)
    except grpc.RpcError as error:
        return error
    raise AssertionError(name)


async def async_error_of(address, name):
    async with grpc.aio.insecure_channel(address) as channel:
        try:
            await call(channel, name)
        except grpc.RpcError as error:
            return error
    raise AssertionError(name)


def main(certificate: str) -> None:
    """Print what each error is."""
    found = {}
    with ThreadPoolExecutor(2) as pool, open(certificate, "rb") as pem:
        both = pem.read()
        server = grpc.server(pool, handlers=[Service()])
        port = server.add_insecure_port("127.0.0.1:0")
        key, _, chain = both.partition(b"-----BEGIN CERTIFICATE")
        credentials = grpc.ssl_server_credentials([(key, b"-----BEGIN CERTIFICATE" + chain)])
        secure = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        address = f"127.0.0.1:{port}"
        with grpc.insecure_channel(address) as channel:
            for status in grpc.StatusCode:
                if status is not grpc.StatusCode.OK:
                    error = error_of(channel, status.name)
                    found[status.name] = classify(error)
            found["delay"] = hf.retry_after(error)
            found["no other try"] = classify(error_of(channel, "UNAVAILABLE-"))
        for name in ("UNAVAILABLE", "UNAUTHENTICATED"):
            error = asyncio.run(async_error_of(address, name))
            found[f"{name} in a task"] = classify(error)
        found["delay in a task"] = hf.retry_after(error)
        with grpc.secure_channel(
            f"127.0.0.1:{secure}", grpc.ssl_channel_credentials()
        ) as untrusting:
            found["untrusted"] = classify(error_of(untrusting, "OK"))
        server.stop(None)
    with refused_port() as nobody, grpc.insecure_channel(f"127.0.0.1:{nobody}") as channel:
        found["refused"] = classify(error_of(channel, "OK"))
    print(json.dumps(found))


main(*sys.argv[1:])
