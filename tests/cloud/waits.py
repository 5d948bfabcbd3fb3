"""Waits that end: either what is waited for has come, or it is said what was there instead."""

import time


class TooLate(AssertionError):
    """What was waited for has not come."""


def until(what, probe, seconds=30, pause=0.25):
    """What `probe` answers as soon as it is something; `what` is said where it is not within `seconds`.

    A probe may fail with an AssertionError, whose text then says how far things have come.
    """
    end = time.monotonic() + seconds
    last = None
    while True:
        try:
            found = probe()
            if found:
                return found
            last = found
        except AssertionError as so_far:
            last = so_far
        if time.monotonic() > end:
            raise TooLate(f"{what}: not within {seconds} s; at last {last!r}")
        time.sleep(pause)
