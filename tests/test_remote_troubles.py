"""What a storage library raises is one error of the system, whatever it says."""

import pytest

from kinoscope.video.remote import Troubles


def of_a_library(message):
    kind = type("NoAnswer", (Exception,), {"__module__": "botocore.exceptions"})
    return kind(message)


@pytest.mark.parametrize(
    ("message", "told"), [("away\nfor long", "NoAnswer: away"), ("", "NoAnswer: ")]
)
def test_an_error_of_a_storage_library_is_one_of_the_system(message, told) -> None:
    with pytest.raises(OSError, match=f"{told}$"), Troubles():
        raise of_a_library(message)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(KeyError, match="ours"), Troubles():
        raise KeyError("ours")
