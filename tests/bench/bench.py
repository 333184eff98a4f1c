"""Polls one fleet by fleetwatt and by its rivals, way by way in turn, and prints what each takes."""

import argparse
import contextlib
import csv
import json
import os
import platform
import re
import resource
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RELEASE = ROOT / "target/release"
# Built by `run`.
REPEATER = ROOT / "tests/bench/.venv/nvidia-smi"

GPUS = 8
# Processes or logins at once, for every way that has such a bound: fleetwatt's own default.
AT_ONCE = 64
# No poll may take longer.
POLL_WITHIN_S = 400
WARM_ROUNDS = 9
COLD_ROUNDS = 5
# How long a machine may take to come to rest; what is measured on one that does not is noise.
SETTLE_WITHIN_S = 10


# What a way is called that leaves `timeout` out, and fleetwatt where it keeps nothing.
BARE = ", without timeout"
DRY = "fleetwatt, dry run"


@dataclass
class Poll:
    """What one poll took."""

    wall: float
    cpu: float
    memory: float
    is_whole: bool


@dataclass
class Way:
    """One way of polling, and what its polls took."""

    name: str
    polls: list = field(default_factory=list)
    masters_mib: float = 0.0

    def median(self, what):
        return statistics.median(getattr(poll, what) for poll in self.polls)

    @property
    def memory(self):
        return max(poll.memory for poll in self.polls)

    @property
    def n_short(self):
        return sum(not poll.is_whole for poll in self.polls)


def query():
    """The command that fleetwatt sends, from its own table, so that all ask for the same."""
    text = (ROOT / "src/probe/nvidia_smi/fields.rs").read_text()
    table = text[text.index("pub const FIELDS") : text.index("\n];")]
    names = re.findall(r'(?:identity|always|since)\(\s*(?:\d+,\s*)?&\["([^"]+)"', table)
    assert names[0] == "index" and names[-1] == "name", names
    return f"nvidia-smi --query-gpu={','.join(names)} --format=csv,noheader,nounits"


class Masters:
    """The ssh masters whose sockets are in one folder."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(mode=0o700)

    def pids(self):
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                pid = int(entry.name)
                words = (entry / "cmdline").read_bytes()
                if words.startswith(b"ssh") and bytes(self.folder) + b"/" in words:
                    found.append(pid)
        return found

    def cpu_ms(self):
        """On the CPU so far, of each. `stat` counts in steps of 10 ms, ten polls of one master."""
        spent = {}
        for pid in self.pids():
            with contextlib.suppress(OSError):
                spent[pid] = int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6
        return spent

    def pss_mib(self):
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
                total += int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1])
        return total / 1024

    def end(self):
        deadline = time.monotonic() + 20
        while pids := self.pids():
            if time.monotonic() > deadline:
                sys.exit("bench: ssh masters do not end")
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            time.sleep(0.05)


class Bench:
    """A fleet of `n` hosts, and every way to poll it."""

    def __init__(self, n, folder, client_python):
        self.n, self.folder, self.client_python = n, folder, client_python
        self.fleet_dir = folder / "f"
        # What fleetwatt sends, and without what ends it when nobody waits any more.
        self.bare = query()
        self.command = f"timeout -k 1 14 {self.bare}"
        self.ways = {}
        self.clients = {}
        self.fleetwatt_masters = Masters(folder / "r")
        self.pdsh_masters = Masters(folder / "c")
        self.fleet = None

    # The fleet

    def start(self):
        program = RELEASE / "examples/fleet"
        words = [program, "start", "--hosts", str(self.n), "--gpus", str(GPUS), "--dir", self.fleet_dir]
        self.fleet = subprocess.Popen(words, stdout=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + 90
        while not (self.fleet_dir / "fleet.pid").exists():
            if self.fleet.poll() is not None or time.monotonic() > deadline:
                sys.exit("bench: the fleet does not start")
            time.sleep(0.1)
        self.config = self.fleet_dir / "ssh_config"
        text = self.config.read_text()
        hosts = re.findall(r"^Host (node\d+)\n +HostName (\S+)\n +Port (\d+)", text, re.M)
        self.names = [name for name, _, _ in hosts]
        assert len(self.names) == self.n
        described = {
            "hosts": [{"name": name, "address": address} for name, address, _ in hosts],
            "port": int(hosts[0][2]),
            "user": re.search(r"^ +User (\S+)", text, re.M)[1],
            "key": str(self.fleet_dir / "client_key"),
            "known_hosts": str(self.fleet_dir / "known_hosts"),
        }
        self.description = self.folder / "fleet.json"
        self.description.write_text(json.dumps(described))
        self.persisting_config = self.folder / "ssh_config"
        persisting = f"ControlMaster auto\nControlPath {self.folder}/c/%n\nControlPersist 600\n"
        self.persisting_config.write_text(persisting + text)
        self.play_by_heart()
        self.script = self.folder / "script"
        self.script.write_text(
            f'for host in {" ".join(self.names)}; do\n'
            f'  ssh -F {self.config} "$host" {self.command} | sed "s/^/$host: /"\n'
            "done\n"
        )

    def play_by_heart(self):
        """Keeps each host's answer, and puts the program in place that only repeats it."""
        played = self.fleet_dir / "bin/nvidia-smi"
        argv = [played, *self.bare.split()[1:]]
        for name in self.names:
            scene = self.fleet_dir / f"scenes/{name}.toml"
            env = {"FAKE_NVIDIA_SMI": str(scene)}
            answer = subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout
            Path(f"{scene}.answer").write_text(" ".join(argv[1:]) + "\n" + answer)
        played.unlink()
        played.symlink_to(REPEATER)

    def stop(self):
        for client in list(self.clients):
            self.end_client(client)
        self.fleetwatt_masters.end()
        self.pdsh_masters.end()
        if self.fleet:
            self.fleet.terminate()
            try:
                self.fleet.wait(60)
            except subprocess.TimeoutExpired:
                self.fleet.kill()
                self.fleet.wait()
                subprocess.run([RELEASE / "examples/fleet", "stop", "--dir", self.fleet_dir], check=False)

    # One poll by each way

    def settle(self):
        """Waits until the machine is at rest: hosts still say goodbye to whoever polled before."""
        deadline = time.monotonic() + SETTLE_WITHIN_S
        while time.monotonic() < deadline:
            before = cpu_times()
            time.sleep(0.1)
            spent = [now - then for now, then in zip(cpu_times(), before)]
            # The fourth is idle time. A tenth is what a machine at rest does for itself.
            if spent[3] >= 0.9 * sum(spent):
                return

    def run_program(self, name, argv, env=None, masters=None, check=None):
        """A poll by a program that ends with it: wall from its start to its end."""
        self.settle()
        before = masters.cpu_ms() if masters else {}
        with tempfile.TemporaryFile(dir=self.folder) as out:
            started = time.perf_counter()
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.DEVNULL,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **(env or {})},
                start_new_session=True,
            )
            usage = self.wait(process, started)
            wall = (time.perf_counter() - started) * 1000
            out.seek(0)
            is_whole = (check or self.every_host_answered)(out.read().decode(), process.returncode)
        cpu = (usage.ru_utime + usage.ru_stime) * 1000
        if masters:
            after = masters.cpu_ms()
            cpu += sum(spent - before.get(pid, 0) for pid, spent in after.items())
        self.note(name, Poll(wall, cpu, usage.ru_maxrss / 1024, is_whole))
        if masters:
            self.ways[name].masters_mib = max(self.ways[name].masters_mib, masters.pss_mib())

    def wait(self, process, started):
        """Waits for the end without taking CPU from what is measured, and kills what takes too long."""
        handle = os.pidfd_open(process.pid)
        try:
            left = POLL_WITHIN_S - (time.perf_counter() - started)
            if not select.select([handle], [], [], left)[0]:
                os.killpg(process.pid, signal.SIGKILL)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            os.close(handle)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return usage

    def every_host_answered(self, out, _code):
        rows = Counter(line.partition(":")[0] for line in out.splitlines() if "GPU-" in line)
        return all(rows[name] == GPUS for name in self.names)

    def fleetwatt_has_all(self, _out, code):
        """It ends with 0 only where every host gave all of its GPUs."""
        return code == 0

    def note(self, name, poll):
        self.ways.setdefault(name, Way(name)).polls.append(poll)
        short = "" if poll.is_whole else "  answers are missing"
        print(f"N={self.n:<4} {name:<36} {poll.wall:8.0f} ms {poll.cpu:8.0f} ms CPU{short}", file=sys.stderr)

    def fleetwatt(self, name, words=("--quiet",), check=None):
        env = {
            "STATE_DIRECTORY": str(self.folder / "s"),
            "RUNTIME_DIRECTORY": str(self.fleetwatt_masters.folder),
        }
        argv = [RELEASE / "fleetwatt", "--inventory", self.fleet_dir / "inventory.toml", "poll", *words]
        self.run_program(name, argv, env, self.fleetwatt_masters, check or self.fleetwatt_has_all)

    def fleetwatt_dry(self):
        """The rivals' work: it reads, and prints what it has read."""
        self.fleetwatt(DRY, ["--dry-run", "--format", "csv"], self.csv_has_all)

    def csv_has_all(self, out, _code):
        names = Counter(row["node"] for row in csv.DictReader(out.splitlines()) if row["gpu_uuid"])
        return all(names[name] == GPUS for name in self.names)

    def fleetwatt_cold(self):
        self.fleetwatt_masters.end()
        self.fleetwatt("fleetwatt, cold")

    def sequential(self):
        self.run_program("script, one ssh after the other", ["bash", self.script])

    def pdsh(self, name, config, masters=None, command=None):
        hosts = ",".join(self.names)
        argv = ["pdsh", "-R", "ssh", "-f", str(AT_ONCE), "-w", hosts, command or self.command]
        env = {"PDSH_SSH_ARGS_APPEND": f"-F {config}"}
        self.run_program(name, argv, env, masters)

    def pdsh_cold(self):
        self.pdsh(f"pdsh -f{AT_ONCE}, cold", self.config)

    def pdsh_masters_warm(self, name, command):
        self.pdsh(name, self.persisting_config, self.pdsh_masters, command)

    def pdsh_masters_cold(self):
        self.pdsh_masters.end()
        name = f"pdsh -f{AT_ONCE} ControlPersist, cold"
        self.pdsh(name, self.persisting_config, self.pdsh_masters)

    def client(self, name, library, command):
        """A poll by a Python program that goes on living."""
        client = self.clients.get(library)
        if client is None:
            argv = [self.client_python, "-B", ROOT / "tests/bench/client.py", library, self.description]
            client = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.clients[library] = client
            self.answer_of(client)
        self.settle()
        client.stdin.write(command + "\n")
        client.stdin.flush()
        answer = json.loads(self.answer_of(client))
        is_whole = answer["rows"] == [GPUS] * self.n
        self.note(name, Poll(answer["wall"], answer["cpu"], answer["memory"], is_whole))

    def answer_of(self, client):
        if not select.select([client.stdout], [], [], POLL_WITHIN_S)[0]:
            sys.exit("bench: a Python client does not answer")
        return client.stdout.readline()

    def end_client(self, library):
        client = self.clients.pop(library, None)
        if client:
            client.kill()
            client.communicate()

    def client_cold(self, library):
        self.end_client(library)
        self.client(f"{library}, cold", library, self.command)

    # The plan

    def run(self):
        cold = [
            self.fleetwatt_cold,
            self.pdsh_cold,
            lambda: self.client_cold("parallel-ssh"),
            lambda: self.client_cold("asyncssh"),
        ]
        for round_idx in range(COLD_ROUNDS):
            for way in rotated(cold, round_idx):
                way()
        for _ in range(3 if self.n <= 16 else 1):
            self.sequential()
        self.pdsh_masters_cold()
        masters = f"pdsh -f{AT_ONCE} ControlPersist"
        warm = [
            lambda: self.fleetwatt("fleetwatt"),
            self.fleetwatt_dry,
            lambda: self.pdsh_masters_warm(masters, self.command),
            lambda: self.client("parallel-ssh", "parallel-ssh", self.command),
            lambda: self.client("asyncssh", "asyncssh", self.command),
            lambda: self.pdsh_masters_warm(f"{masters}{BARE}", self.bare),
            lambda: self.client(f"parallel-ssh{BARE}", "parallel-ssh", self.bare),
            lambda: self.client(f"asyncssh{BARE}", "asyncssh", self.bare),
        ]
        for round_idx in range(WARM_ROUNDS):
            for way in rotated(warm, round_idx):
                way()
        return self.ways


def cpu_times():
    """What the processors did so far, in ticks."""
    return [int(ticks) for ticks in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]


def rotated(ways, by):
    """So that no way always comes after the same other one."""
    by %= len(ways)
    return ways[by:] + ways[:by]


ORDER = [
    "fleetwatt",
    DRY,
    "parallel-ssh",
    "asyncssh",
    f"pdsh -f{AT_ONCE} ControlPersist",
    "script, one ssh after the other",
    f"parallel-ssh{BARE}",
    f"asyncssh{BARE}",
    f"pdsh -f{AT_ONCE} ControlPersist{BARE}",
    "fleetwatt, cold",
    f"pdsh -f{AT_ONCE}, cold",
    f"pdsh -f{AT_ONCE} ControlPersist, cold",
    "parallel-ssh, cold",
    "asyncssh, cold",
]


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def labelled(way):
    short = f" ({way.n_short} of {len(way.polls)} lost answers)" if way.n_short else ""
    return way.name + short


def masters_of(way):
    return f"{way.masters_mib:.0f}" if way.masters_mib else ""


def full_table(n, ways):
    base = {True: ways["fleetwatt, cold"].median("wall"), False: ways["fleetwatt"].median("wall")}
    rows = []
    for way in (ways[name] for name in ORDER):
        wall, cpu = way.median("wall"), way.median("cpu")
        walls = [poll.wall for poll in way.polls]
        rows.append([
            labelled(way),
            str(len(way.polls)),
            f"{wall:.0f}",
            f"{min(walls):.0f} to {max(walls):.0f}",
            f"{wall / base[way.name.endswith('cold')]:.2f}",
            f"{cpu:.0f}",
            f"{cpu / n:.2f}",
            f"{way.memory:.0f}",
            masters_of(way),
        ])
    head = ["N = " + str(n), "polls", "wall ms", "from, to", "× fleetwatt", "CPU ms", "CPU ms a host"]
    return table(head + ["memory MiB", "masters MiB"], rows)


def compact_table(results):
    last = max(results)
    rows = []
    for name in ORDER:
        cells = [f"{ways[name].median('wall'):.0f} / {ways[name].median('cpu'):.0f}" for ways in results.values()]
        way = results[last][name]
        memory = f"{way.memory:.0f}" + (f" + {masters_of(way)}" if way.masters_mib else "")
        mark = "*" if any(ways[name].n_short for ways in results.values()) else ""
        rows.append([name + mark, *cells, memory])
    head = ["wall / CPU, ms", *(f"N = {n}" for n in results), f"memory at {last}, MiB"]
    return table(head, rows)


def goals(n, ways):
    """What the program was built to reach at 256 hosts."""

    def wall(name):
        return ways[name].median("wall")

    def best_python(suffix=""):
        return min(wall(f"{name}{suffix}") for name in ("parallel-ssh", "asyncssh"))

    warm, cold = ways["fleetwatt"], ways["fleetwatt, cold"]
    pdsh = f"pdsh -f{AT_ONCE} ControlPersist"
    lines = []
    for ours in ("fleetwatt", DRY):
        for suffix in ("", BARE):
            to_pdsh, to_python = wall(pdsh + suffix) / wall(ours), wall(ours) / best_python(suffix)
            lines.append((to_pdsh >= 3, f"pdsh ControlPersist{suffix} / {ours}: {to_pdsh:.2f}, at least 3"))
            python = f"best Python client{suffix}"
            lines.append((to_python <= 1.2, f"{ours} / {python}: {to_python:.2f}, at most 1.2"))
    script = wall("script, one ssh after the other") / wall("fleetwatt")
    cold_pdsh = wall("fleetwatt, cold") / wall(f"pdsh -f{AT_ONCE}, cold")
    cpu = warm.median("cpu") / n
    memory = max(warm.memory, cold.memory)
    lines += [
        (script >= 60, f"script / fleetwatt: {script:.0f}, at least 60"),
        (cpu < 1.5, f"CPU with masters: {cpu:.2f} ms a host a poll, below 1.5"),
        (memory < 48, f"fleetwatt's own memory: {memory:.1f} MiB, below 48"),
        (cold_pdsh <= 1, f"fleetwatt cold / pdsh cold: {cold_pdsh:.2f}, at most 1"),
    ]
    return "\n".join(f"- {'holds' if holds else 'FAILS'}: {words}" for holds, words in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--client-python", type=Path, required=True, help="the one with the rivals")
    parser.add_argument("hosts", nargs="+", type=int)
    args = parser.parse_args()
    # Ends in order, so that the fleet is torn down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: terminated"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    results = {}
    for n in args.hosts:
        # Short: a socket's path has at most 107 bytes.
        folder = Path(tempfile.mkdtemp(prefix="fb-", dir="/tmp"))
        bench = Bench(n, folder, args.client_python.absolute())
        try:
            bench.start()
            results[n] = bench.run()
        finally:
            bench.stop()
            shutil.rmtree(folder, ignore_errors=True)
        print(full_table(n, results[n]), end="\n\n", flush=True)
    print(f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}.")
    print(f"At {max(results)} hosts:\n{goals(max(results), results[max(results)])}\n")
    print(compact_table(results))


main()
