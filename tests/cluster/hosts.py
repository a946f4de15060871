"""Several hosts on one machine: each a network, PID, mount and UTS namespace with its own sshd.

A host has its own address, process table, host name, home, /tmp/ray and /dev/shm. Of the checkout
it sees the virtual environment alone, so code and data reach it only the way they would reach
another machine. Needs root, iproute2, util-linux, openssh-server and rsync.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
#: Home of root on every host; exists on this machine as an empty place to mount on.
HOME = Path("/run/apex-host-home")
SITE = Path(sys.prefix) / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
#: Run by ``unshare`` as a host's first process. {…} are filled in by ``_script``.
INIT = """
set -e
mount --make-rprivate /
hostname {name}
mount --rbind / {keep}
mount --bind {disk}/home {home}
mount --bind {disk}/passwd /etc/passwd
mkdir -p /tmp/ray && mount -t tmpfs tmpfs /tmp/ray
mount -t tmpfs -o size=1g tmpfs /dev/shm
mount -t tmpfs tmpfs {project}
mkdir -p {prefix} && mount --bind {keep}{prefix} {prefix}
exec /usr/sbin/sshd -D -e -o UsePAM=no -o StrictModes=no -o PermitRootLogin=yes -o PidFile=none \\
  -o HostKey={keys}/hostkey -o AuthorizedKeysFile={keys}/id.pub
"""


def missing() -> str:
    """Why there can be no hosts here; empty where there can."""
    if os.geteuid() != 0:
        return "hosts need root"
    tools = ("ip", "unshare", "ssh", "ssh-keygen", "rsync")
    lacking = [tool for tool in tools if shutil.which(tool) is None]
    if not Path("/usr/sbin/sshd").exists():
        lacking.append("sshd")
    if lacking:
        return f"hosts need {', '.join(lacking)} (iproute2, util-linux, openssh-server, rsync)"
    made = subprocess.run(["unshare", "--net", "--pid", "--mount", "--uts", "--fork", "true"],
                          capture_output=True, text=True, check=False)  # fmt: skip
    return f"namespaces cannot be made here: {made.stderr.strip()}" if made.returncode else ""


def _run(*command: str | Path) -> None:
    subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True)


@dataclass
class Hosts:
    """The hosts that are there. folder: their disks and the ssh key."""

    folder: Path
    count: int
    tag: str
    network: str
    booted: dict[int, subprocess.Popen[bytes]]

    @property
    def key(self) -> Path:
        """The private ssh key that every host accepts."""
        return self.folder / "id"

    def address(self, host: int) -> str:
        """Of a host, counted from 1."""
        return f"{self.network}.{host}"

    def disk(self, host: int) -> Path:
        """A host's home, as seen from this machine."""
        return self.folder / f"host{host}" / "home"

    def run(self, host: int, command: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """A shell command on a host, through ssh."""
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
        ssh = ["ssh", "-i", str(self.key), *(x for o in options for x in ("-o", o))]
        return subprocess.run([*ssh, f"root@{self.address(host)}", command], text=True,
                              capture_output=True, timeout=timeout, check=False)  # fmt: skip

    def boot(self, host: int) -> None:
        """Power a host on; its disk is as it was."""
        name = self._name(host)
        with (self.folder / f"host{host}.log").open("ab") as log:
            self.booted[host] = subprocess.Popen(
                ["ip", "netns", "exec", name, "unshare", "--pid", "--mount", "--uts", "--fork",
                 "--kill-child", "--mount-proc", "bash", "-c", self._script(host)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/",
            )  # fmt: skip
        _run("ip", "link", "set", self._wire(host), "up")
        until = time.monotonic() + 20
        while self.run(host, "true").returncode:
            if time.monotonic() > until:
                raise RuntimeError((self.folder / f"host{host}.log").read_text())
            time.sleep(0.2)

    def power_off(self, host: int) -> None:
        """The cable goes first: nobody is told that its processes died."""
        _run("ip", "link", "set", self._wire(host), "down")
        process = self.booted.pop(host)
        os.killpg(process.pid, signal.SIGKILL)
        listed = subprocess.run(["ip", "netns", "pids", self._name(host)], text=True,
                                capture_output=True, check=False)  # fmt: skip
        for pid in listed.stdout.split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                continue
        process.wait()

    def _name(self, host: int) -> str:
        return f"{self.tag}h{host}"

    def _wire(self, host: int) -> str:
        return f"{self.tag}v{host}"

    def _script(self, host: int) -> str:
        return INIT.format(
            name=f"host{host}", keep=self.folder / "keep", disk=self.folder / f"host{host}",
            home=HOME, project=PROJECT, prefix=sys.prefix, keys=self.folder,
        )  # fmt: skip

    def make(self) -> None:
        """Bridge, wires and disks, then boot all."""
        for name in ("id", "hostkey"):
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name)
        (self.folder / "keep").mkdir()
        HOME.mkdir(exist_ok=True)
        Path("/run/sshd").mkdir(exist_ok=True)
        _run("ip", "link", "add", self.tag, "type", "bridge")
        _run("ip", "addr", "add", f"{self.network}.254/24", "dev", self.tag)
        _run("ip", "link", "set", self.tag, "up")
        for host in range(1, self.count + 1):
            self._make_disk(host)
            name = self._name(host)
            _run("ip", "netns", "add", name)
            wire = ["ip", "link", "add", self._wire(host), "type", "veth", "peer", "name", "eth0"]
            _run(*wire, "netns", name)
            _run("ip", "link", "set", self._wire(host), "master", self.tag)
            _run("ip", "-n", name, "addr", "add", f"{self.address(host)}/24", "dev", "eth0")
            for device in ("eth0", "lo"):
                _run("ip", "-n", name, "link", "set", device, "up")
            self.boot(host)

    def remove(self) -> None:
        """Everything that ``make`` made; also what it left half made."""
        for host in list(self.booted):
            self.power_off(host)
        for host in range(1, self.count + 1):
            subprocess.run(
                ["ip", "netns", "del", self._name(host)], capture_output=True, check=False
            )
        subprocess.run(["ip", "link", "del", self.tag], capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make_disk(self, host: int) -> None:
        """A home with everything installed, as ``tools/cluster_host.sh`` leaves it."""
        home = self.disk(host)
        home.mkdir(parents=True)
        passwd = f"root:x:0:0:root:{HOME}:/bin/bash\nsshd:x:100:65534::/run/sshd:/bin/false\n"
        (home.parent / "passwd").write_text(passwd)
        venv = home / "apex-venv"
        site = venv / "lib" / SITE.parent.name / "site-packages"
        site.mkdir(parents=True)
        (venv / "bin").mkdir()
        base = Path(sys.executable).resolve()
        for name in ("python", "python3"):
            (venv / "bin" / name).symlink_to(base)
        (venv / "pyvenv.cfg").write_text(
            f"home = {base.parent}\nversion = {sys.version.split()[0]}\n"
        )
        (site / "installed.pth").write_text(f"{SITE}\n{HOME}/apex-trader\n")
        ray = venv / "bin" / "ray"
        ray.write_text(
            f"#!{HOME}/apex-venv/bin/python\nfrom ray.scripts.scripts import main\nmain()\n"
        )
        ray.chmod(0o755)
        text = (PROJECT / "pyproject.toml").read_bytes() + (
            PROJECT / "constraints.txt"
        ).read_bytes()
        (venv / ".ready").write_text(f"cpu {hashlib.sha256(text).hexdigest()}\n")


@contextmanager
def hosts(count: int) -> Iterator[Hosts]:
    """``count`` hosts, gone afterwards however the block ends."""
    _remove_stale()
    used = subprocess.run(["ip", "-4", "addr"], text=True, capture_output=True, check=True).stdout
    network = next(f"10.77.{k}" for k in range(256) if f" 10.77.{k}." not in used)
    # not below /tmp/ray, which every host mounts over
    folder = Path(tempfile.mkdtemp(prefix="apex-hosts-", dir="/var/tmp"))
    made = Hosts(folder, count, f"ax{os.getpid()}", network, {})
    try:
        made.make()
        yield made
    finally:
        made.remove()


def _remove_stale() -> None:
    """Hosts of a test run that was killed and could not remove them."""
    listed = subprocess.run(["ip", "netns", "list"], text=True, capture_output=True, check=False)
    for name in [line.split()[0] for line in listed.stdout.splitlines() if line.startswith("ax")]:
        owner = name.removeprefix("ax").split("h")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            subprocess.run(["ip", "netns", "del", name], check=False)
            subprocess.run(["ip", "link", "del", f"ax{owner}"], capture_output=True, check=False)
