"""Runs one server for the tests and ends it when they have: `keeper.py LOCK DIRECTORY USER COMMAND ...`

Pytest holds LOCK for as long as it lives. When it is gone, killed or not, the kernel lets go of the lock, the keeper
gets it, ends the server and removes the server's DIRECTORY. No process needs to be searched for afterwards.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading


def end_when_released(lock: str, server: "subprocess.Popen[bytes]") -> None:
    with open(lock) as held:
        fcntl.flock(held, fcntl.LOCK_SH)
    server.send_signal(signal.SIGINT)  # a quick and orderly end to PostgreSQL and Redis alike
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()


def main(lock: str, directory: str, user: str, *command: str) -> None:
    if os.fork():
        return  # the worker that asked goes on; the keeper belongs to nobody and outlives it
    os.setsid()
    with open(f"{directory}/log", "wb") as log:
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=user or None, start_new_session=True
        )
        threading.Thread(target=end_when_released, args=(lock, server), daemon=True).start()
        server.wait()
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
