"""Errors of AWS (botocore), gRPC, message queues (kombu, amqp, Celery) and web frameworks."""

from __future__ import annotations

from holdfast.categories.http import category_of_status, of_own_status
from holdfast.categories.requested import pushes_back
from holdfast.categories.rules import (
    LOGIC,
    PERMANENT,
    RESOURCE,
    TRANSIENT,
    Wrapper,
    attribute,
    each,
    integer,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfast.categories.category import Category
    from holdfast.categories.rules import Rule

__all__ = ["RULES"]

# ---- AWS ----

# What the standard retry mode of the AWS SDKs calls transient or throttling errors:
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
_AWS = {
    **each(
        TRANSIENT,
        "BandwidthLimitExceeded EC2ThrottledException IDPCommunicationError InternalError "
        "InternalFailure LimitExceededException PriorRequestNotComplete "
        "ProvisionedThroughputExceededException RequestLimitExceeded RequestThrottled "
        "RequestThrottledException RequestTimeout RequestTimeoutException ServiceUnavailable "
        "SlowDown ThrottledException Throttling ThrottlingException TooManyRequestsException "
        "TransactionInProgressException",
    ),
}


def _of_aws(error: BaseException) -> Category | None:
    """Return the category of a response of AWS: by its code, or by its HTTP status."""
    response = attribute(error, "response")
    if not isinstance(response, dict):
        return None
    code = _inside(response, "Error", "Code")
    if isinstance(code, str) and (found := _AWS.get(code)) is not None:
        return found  # type: ignore[return-value]
    status = _inside(response, "ResponseMetadata", "HTTPStatusCode")
    return category_of_status(status) if isinstance(status, int) else None


def _inside(response: dict[str, object], outer: str, inner: str) -> object:
    part = response.get(outer)
    return part.get(inner) if isinstance(part, dict) else None


def _in_error(error: BaseException) -> object:
    """Return the error that botocore keeps among the values for its message."""
    kwargs = attribute(error, "kwargs")
    return kwargs.get("error") if isinstance(kwargs, dict) else None


# ---- gRPC ----

# https://grpc.io/docs/guides/status-codes/; what is not listed is unknown.
_GRPC = {
    **each(TRANSIENT, "ABORTED DEADLINE_EXCEEDED RESOURCE_EXHAUSTED UNAVAILABLE"),
    **each(
        PERMANENT,
        "ALREADY_EXISTS INVALID_ARGUMENT NOT_FOUND OUT_OF_RANGE PERMISSION_DENIED UNAUTHENTICATED "
        "UNIMPLEMENTED",
    ),
    **each(LOGIC, "DATA_LOSS FAILED_PRECONDITION INTERNAL"),
}


def _of_grpc(error: BaseException) -> Category | None:
    """Return the category of a status of gRPC; a bad certificate is reported as UNAVAILABLE."""
    code = attribute(error, "code")
    try:
        name = code().name
        details = str(error.details()).lower()  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001 - RpcError is only a name, and its subclass is the caller's
        return None
    if name == "UNAVAILABLE" and "certificate_verify_failed" in details:
        return PERMANENT
    category = _GRPC.get(name)
    return PERMANENT if category is TRANSIENT and pushes_back(error) else category  # type: ignore[return-value]


# ---- AMQP ----


def _of_amqp(error: BaseException) -> Category | None:
    """Return the category of a reply code of AMQP: 403 ACCESS_REFUSED and so on."""
    return _AMQP.get(integer(error, "code") or 0)


_AMQP = {
    **dict.fromkeys((311, 320, 405, 541), TRANSIENT),
    **dict.fromkeys((402, 403, 404, 406, 530, 540), PERMANENT),
    506: RESOURCE,
    **dict.fromkeys((501, 502, 503, 504, 505), LOGIC),
}


RULES: dict[str, dict[str, Rule]] = {
    "botocore.exceptions": {
        **each(TRANSIENT, "ConnectTimeoutError ConnectionClosedError IncompleteReadError"),
        **each(TRANSIENT, "ReadTimeoutError ResponseStreamingError CredentialRetrievalError"),
        **each(Wrapper(TRANSIENT, _in_error), "ConnectionError HTTPClientError"),
        **each(Wrapper(PERMANENT, _in_error), "SSLError"),
        **each(TRANSIENT, "MetadataRetrievalError"),
        **each(LOGIC, "ChecksumError FlexibleChecksumError OperationNotPageableError"),
        **each(LOGIC, "PaginationError UnseekableStreamError"),
        **each(Wrapper(None), "WaiterError"),
        # All others are about settings, credentials and parameters.
        **each(PERMANENT, "BotoCoreError"),
        "ClientError": _of_aws,
    },
    "starlette.exceptions": {"HTTPException": of_own_status},
    "grpc": {"RpcError": _of_grpc, **each(TRANSIENT, "FutureTimeoutError")},
    "kombu.exceptions": {
        **each(Wrapper(TRANSIENT), "OperationalError"),
        **each(TRANSIENT, "LimitExceeded"),
        **each(LOGIC, "MessageStateError NotBoundError SerializationError"),
        **each(PERMANENT, "SerializerNotInstalled VersionMismatch"),
    },
    "celery.exceptions": each(TRANSIENT, "TimeoutError"),
    "billiard.exceptions": {
        **each(TRANSIENT, "TimeLimitExceeded"),
        # Raised in the task, which is to end: its hard limit comes next.
        **each(PERMANENT, "SoftTimeLimitExceeded"),
    },
    "amqp.exceptions": {
        **each(Wrapper(TRANSIENT, first=_of_amqp), "RecoverableConnectionError"),
        **each(Wrapper(TRANSIENT, first=_of_amqp), "RecoverableChannelError"),
        **each(TRANSIENT, "MessageNacked"),
        **each(Wrapper(PERMANENT, first=_of_amqp), "IrrecoverableConnectionError"),
        **each(Wrapper(PERMANENT, first=_of_amqp), "IrrecoverableChannelError"),
        **each(_of_amqp, "AMQPError"),
    },
}
