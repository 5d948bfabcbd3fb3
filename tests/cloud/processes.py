"""Programs that run beside the tests: started with a log and a clean environment, ended by their own id."""

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import certificates
from waits import until

ROOT = Path(__file__).resolve().parents[2]
# A stack that somebody looks at is not disturbed by the tests.
LOGS = ROOT / "target" / os.environ.get("ROLLCALL_CLOUD", "cloud-test")

# Each run begins with an empty folder, and what it leaves there is for whoever looks for the reason of a failure.
shutil.rmtree(LOGS, ignore_errors=True)
LOGS.mkdir(parents=True)
AUTHORITY, CERTIFICATE, KEY = certificates.make(LOGS)


class Program:
    """A program under way, with its log in `LOGS`."""

    def __init__(self, name, command, environment=None, wants_output=False):
        self.name = name
        self.log = LOGS / f"{name}.log"
        # Nothing of whoever runs the tests: no credentials, no proxy, no configuration of AWS.
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(LOGS),
            "TMPDIR": str(LOGS),
            "PYTHONDONTWRITEBYTECODE": "1",
            # Whom programs of Rust trust, and so the functions, which inherit it.
            "SSL_CERT_FILE": str(AUTHORITY),
            **(environment or {}),
        }
        # Appended: a Clerk that is started anew goes on in its log.
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                cwd=LOGS,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if wants_output else log,
                stderr=log,
                text=True,
                # A group of its own: a function is a child of the local AWS, and ends with it.
                start_new_session=True,
            )

    def first_line(self):
        """What it prints first, once it is ready."""
        line = self.process.stdout.readline()
        assert line, f"{self.name} has ended; {self.log} says why"
        return line

    def ready(self, probe, seconds):
        """Waits until `probe` answers, and not for a program that has ended."""

        def answers():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} has ended with {self.process.returncode}; {self.log} says why")
            return probe()

        until(f"{self.name} is ready", answers, seconds, pause=0.1)

    def stop(self):
        """Ends it and what it has started: asked first, then by force. MiniStack waits for its threads."""
        self.process.terminate()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(10)


def free_port():
    """A port of 127.0.0.1 that nobody listens on. Somebody may take it before it is used; then the program says so."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
