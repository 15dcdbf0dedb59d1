"""The key set: fetched as the server fetches it, with what to do about each way of failing."""

from __future__ import annotations

import ssl
from urllib.parse import urljoin, urlsplit

from . import CheckFailed

_CORRECT_URL = "correct BETTER_AUTH_URL or JWKS_URL"


def key_set(url: str) -> str:
    """Fetch the key set, and list its keys with their algorithms."""
    import asyncio

    import httpx

    from taskapi.auth import key_request
    from taskapi.auth.key_set import UnusableKeySet, parse

    proxy = key_request.proxy(url)
    through = f" through the proxy {_address(proxy)}" if proxy is not None else ""
    where = f"{url}{through}"
    try:
        found = parse(asyncio.run(_download(url)))
    except key_request.WrongStatus as answer:
        raise _wrong_status(where, url, answer.status, answer.location) from answer
    except UnusableKeySet as error:
        raise CheckFailed(f"{where} has no key set: {error}", _CORRECT_URL) from error
    except httpx.ProxyError as error:
        raise CheckFailed(
            f"{where} can't be reached: the proxy refuses ({error})",
            "correct HTTPS_PROXY, or put the host into NO_PROXY",
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        if (reason := _tls_failure(error)) is not None:
            raise CheckFailed(
                f"{where}: TLS fails ({reason})",
                "a certificate for this host that this machine trusts; SSL_CERT_FILE names a file "
                "with a CA of your own",
            ) from error
        raise CheckFailed(
            f"{where} can't be reached ({type(error).__name__})",
            f"{_CORRECT_URL}, or start Better Auth",
        ) from error
    if not found:
        raise CheckFailed(
            f"{where} lists no usable key",
            "sign in once: Better Auth makes its first key for its first token",
        )
    listed = ", ".join(f"{name} ({'/'.join(key.algorithms)})" for name, key in found.items())
    return listed + through


async def _download(url: str) -> bytes:
    from taskapi.auth import key_request

    async with key_request.client(url) as http:
        return await key_request.download(http, url)


def _wrong_status(where: str, url: str, status: int, location: str | None) -> CheckFailed:
    if 300 <= status < 400 and location is not None:
        return CheckFailed(
            f"{where} redirects to {urljoin(url, location)} ({status}), and redirects are not "
            "followed",
            "set JWKS_URL to the address that answers with the keys",
        )
    if status == 404:
        return CheckFailed(
            f"there is nothing at {where} (404)",
            f"add jwt() to Better Auth's plugins, or {_CORRECT_URL}",
        )
    return CheckFailed(f"{where} answers {status}", f"{_CORRECT_URL}, or look at Better Auth's log")


def _tls_failure(error: BaseException | None) -> str | None:
    """What TLS failed for, if it is in the chain of causes."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        if isinstance(error, ssl.SSLError):
            return error.reason or type(error).__name__
        error = error.__cause__ or error.__context__
    return None


def _address(proxy: str) -> str:
    """Host and port of a proxy, without the password that its URL may hold."""
    return urlsplit(proxy).netloc.rpartition("@")[2]
