"""Whether a model hub answers: asked once and quickly, where its own library would try for a minute."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

WAIT: Final = 5.0  # seconds; a hub that needs longer to say hello will not serve weights either


def answers(url: str) -> bool:
    """Whether anybody answers at this address within a few seconds; proxies of the environment count."""
    try:
        urlopen(Request(url, method="HEAD"), timeout=WAIT).close()  # noqa: S310
    except HTTPError:
        return True
    except URLError as error:
        return isinstance(error.reason, ssl.SSLError)
    except OSError:
        return False
    return True


def offline() -> bool:
    """Whether the person forbade to fetch anything."""
    return os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")


@contextmanager
def hugging_face() -> Iterator[str]:
    """The Hugging Face hub while a model is loaded: if it cannot be had, only its cache is read.

    Gives the reason in words, or "" where the hub answers. huggingface_hub reads HF_HUB_OFFLINE only
    when it is imported, so the wish is passed on here.
    """
    from huggingface_hub import constants

    reason = ""
    if offline():
        reason = "and --offline (HF_HUB_OFFLINE=1) forbids to fetch it"
    elif not answers(constants.ENDPOINT):
        reason = f"and {constants.ENDPOINT} does not answer"
    was = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = was or bool(reason)
    try:
        yield reason
    finally:
        constants.HF_HUB_OFFLINE = was
