"""A poller by parallel-ssh or asyncssh that keeps its connections.

Reads one command a line, runs it on all hosts, and answers with one line of JSON. The first one connects.
"""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path

# Logins at once, as the other ways have it.
CONNECTING = 64


class ParallelSsh:
    def __init__(self, fleet):
        from pssh.clients import ParallelSSHClient

        # It has no way to check host keys against known_hosts. The pool is for commands too, so that it
        # must hold all hosts.
        self.client = ParallelSSHClient(
            [host["address"] for host in fleet["hosts"]],
            user=fleet["user"],
            port=fleet["port"],
            pkey=fleet["key"],
            pool_size=len(fleet["hosts"]),
            allow_agent=False,
            timeout=60,
            num_retries=1,
        )

    def poll(self, command):
        answers = self.client.run_command(command, stop_on_errors=False)
        self.client.join(answers)
        return [[] if answer.exception else list(answer.stdout) for answer in answers]


class AsyncSsh:
    def __init__(self, fleet):
        import asyncssh

        self.asyncssh = asyncssh
        self.fleet = fleet
        self.loop = asyncio.new_event_loop()
        self.connections = {}

    def poll(self, command):
        return self.loop.run_until_complete(self.poll_all(command))

    async def poll_all(self, command):
        turns = asyncio.Semaphore(CONNECTING)
        polls = (self.poll_one(host["address"], command, turns) for host in self.fleet["hosts"])
        answers = await asyncio.gather(*polls, return_exceptions=True)
        return [[] if isinstance(answer, Exception) else answer for answer in answers]

    async def poll_one(self, address, command, turns):
        if address not in self.connections:
            async with turns:
                self.connections[address] = await self.asyncssh.connect(
                    address,
                    port=self.fleet["port"],
                    username=self.fleet["user"],
                    client_keys=[self.fleet["key"]],
                    known_hosts=self.fleet["known_hosts"],
                    agent_path=None,
                    config=[],
                    login_timeout=60,
                )
        answer = await self.connections[address].run(command)
        return answer.stdout.splitlines()


def cpu_ms():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return (usage.ru_utime + usage.ru_stime) * 1000


def main():
    way, fleet = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    poller = {"parallel-ssh": ParallelSsh, "asyncssh": AsyncSsh}[way](fleet)
    print("ready", flush=True)
    for command in sys.stdin:
        started, cpu = time.perf_counter(), cpu_ms()
        answers = poller.poll(command.strip())
        wall, cpu = (time.perf_counter() - started) * 1000, cpu_ms() - cpu
        rows = [sum("GPU-" in line for line in lines) for lines in answers]
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"wall": wall, "cpu": cpu, "rows": rows, "memory": memory}), flush=True)


main()
