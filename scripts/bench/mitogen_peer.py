"""Mitogen's side of the bench: connects once, then does and times one thing per line of its standard input."""

import json
import subprocess
import sys
import threading
import time

import mitogen.core
import mitogen.master
import mitogen.utils


def noop():
    pass


class Peer(object):
    """`router`, a `context` on the host, and what was opened below it."""

    def __init__(self, router, options):
        self.router = router
        self.options = options
        self.context = self.connect()
        self.below = {0: self.context}

    def connect(self):
        return self.router.ssh(
            hostname="127.0.0.1",
            port=self.options["port"],
            username=self.options["user"],
            identity_file=self.options["identity"],
            check_host_keys="ignore",
            python_path="/usr/bin/python3",
            ssh_args=["-F", "/dev/null", "-o", "IdentitiesOnly=yes"],
            connect_timeout=30,
        )

    def local(self, via):
        return self.router.local(via=via, python_path="/usr/bin/python3", connect_timeout=30)

    def words(self, request):
        """Runs a command."""
        return timed(lambda: check(self.context.call(subprocess.call, request["words"])))

    def call(self, request):
        """Calls an empty function `count` times, `below` contexts under the host; the mean."""
        below = request["below"]
        for depth in range(1, below + 1):
            if depth not in self.below:
                self.below[depth] = self.local(self.below[depth - 1])
        context = self.below[below]
        count = request["count"]

        def call_all():
            for _ in range(count):
                context.call(noop)

        return {"ms": timed(call_all)["ms"] / count}

    def nest(self, request):
        """Opens one more context behind the host."""
        opened = []
        answer = timed(lambda: opened.append(self.local(self.context)))
        opened[0].shutdown(wait=True)
        return answer

    def fleet(self, request):
        """Opens many contexts behind the host at once."""
        opened = []

        def open_one():
            opened.append(
                self.router.sudo(
                    via=self.context,
                    username=request["user"],
                    password="none",
                    python_path="/usr/bin/python3",
                    connect_timeout=60,
                )
            )

        def open_all():
            threads = [threading.Thread(target=open_one) for _ in range(request["count"])]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        answer = timed(open_all)
        # Two of one user are one context, unless they are told apart; these are.
        if len(set(context.context_id for context in opened)) != request["count"]:
            answer = {"error": "not all of them opened"}
        for context in opened:
            context.shutdown(wait=True)
        return answer

    def bytes(self, request):
        """What one more connection is sent until its first call is answered, command line included."""
        sent = {}
        write = mitogen.core.Side.write

        def counting(side, data):
            written = write(side, data)
            sent[side.fd] = sent.get(side.fd, 0) + (written or 0)
            return written

        commands = []
        connection = mitogen.parent.Connection
        get_boot_command = connection.get_boot_command

        def noting(self):
            commands.append(" ".join(get_boot_command(self)))
            return get_boot_command(self)

        mitogen.core.Side.write = counting
        connection.get_boot_command = noting
        try:
            context = self.connect()
            context.call(noop)
            side = self.router.stream_by_id(context.context_id).transmit_side
        finally:
            mitogen.core.Side.write = write
            connection.get_boot_command = get_boot_command
        return {"bytes": sent[side.fd] + len(commands[0])}


def timed(action):
    start = time.perf_counter()
    action()
    return {"ms": (time.perf_counter() - start) * 1000}


def check(status):
    if status != 0:
        raise RuntimeError("status %d" % status)


def main(options):
    broker = mitogen.master.Broker()
    router = mitogen.master.Router(broker)
    try:
        peer = Peer(router, options)
        for line in iter(sys.stdin.readline, ""):
            request = json.loads(line)
            try:
                answer = getattr(peer, request.get("do", "words"))(request)
            except Exception as error:
                answer = {"error": str(error)}
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
    finally:
        broker.shutdown()
        broker.join()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
