"""Mitogen's side of the bench: connects once, then times one call per line of its standard input."""

import json
import subprocess
import sys
import time

import mitogen.core
import mitogen.master
import mitogen.utils


def main(options):
    broker = mitogen.master.Broker()
    router = mitogen.master.Router(broker)
    try:
        context = router.ssh(
            hostname="127.0.0.1",
            port=options["port"],
            username=options["user"],
            identity_file=options["identity"],
            check_host_keys="ignore",
            python_path="/usr/bin/python3",
            ssh_args=["-F", "/dev/null", "-o", "IdentitiesOnly=yes"],
            connect_timeout=30,
        )
        for line in iter(sys.stdin.readline, ""):
            words = json.loads(line)["words"]
            start = time.perf_counter()
            status = context.call(subprocess.call, words)
            taken = (time.perf_counter() - start) * 1000
            answer = {"ms": taken} if status == 0 else {"error": "status %d" % status}
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
    finally:
        broker.shutdown()
        broker.join()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
