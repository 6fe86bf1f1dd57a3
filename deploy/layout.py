"""Where everything of a local mesh lies: the service list, the folders of a home, its sockets."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# sockaddr_un holds 108 bytes with the closing NUL; Envoy and gRPC refuse anything longer.
LONGEST_SOCKET_PATH = 107
LONGEST_SOCKET_NAME = len("browser_session-99.sock")


def services(root: Path = ROOT) -> list[str]:
    """The services of the mesh: a service exists because its `__main__.py` exists."""
    return sorted(main.parent.name for main in (root / "services").glob("*/__main__.py"))


@dataclass(frozen=True)
class Layout:
    """The paths of one home; asking for one never touches the disk, `create` does."""

    home: Path

    @property
    def data(self) -> Path:
        """SQLite files and Valkey's append-only log."""
        return self.home / "data"

    @property
    def logs(self) -> Path:
        """One file for each process."""
        return self.home / "logs"

    @property
    def secrets(self) -> Path:
        """Keys and tokens; nobody but the owner may look inside."""
        return self.home / "secrets"

    @property
    def certificates(self) -> Path:
        """A folder for each part with its certificate, and that of the authority."""
        return self.secrets / "tls"

    @property
    def state_file(self) -> Path:
        """What the running supervisor tells about itself."""
        return self.home / "supervisor.json"

    @property
    def lock_file(self) -> Path:
        """Locked by the running supervisor, so that a home has one mesh at most."""
        return self.home / "supervisor.lock"

    @property
    def envoy_config(self) -> Path:
        """The generated configuration, kept for reading and for Envoy's restart."""
        return self.home / "envoy.json"

    @property
    def endpoints(self) -> Path:
        """The files that tell Envoy where the replicas are now."""
        return self.home / "endpoints"

    @property
    def scale_file(self) -> Path:
        """How many replicas are wanted, for a supervisor that is told to look."""
        return self.home / "scale.json"

    @property
    def sockets(self) -> Path:
        """`run/` of the home, or a short private folder when the home's path is too long."""
        inside = self.home / "run"
        if len(str(inside)) + 1 + LONGEST_SOCKET_NAME <= LONGEST_SOCKET_PATH:
            return inside
        digest = hashlib.sha256(str(self.home).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"podium-{digest}"

    def socket(self, name: str) -> Path:
        """The unix socket of the process called `name`."""
        return self.sockets / f"{name}.sock"

    def target(self, name: str) -> str:
        """The same socket as a gRPC target."""
        return f"unix:{self.socket(name)}"

    def log(self, name: str) -> Path:
        """The log of the process called `name`."""
        return self.logs / f"{name}.log"

    def create(self) -> None:
        """Make the folders; sockets and secrets are for the owner alone."""
        for folder in (self.home, self.data, self.logs, self.home / "traces"):
            folder.mkdir(parents=True, exist_ok=True)
        (self.home / "artifacts").mkdir(exist_ok=True)
        for private in (self.sockets, self.secrets):
            private.mkdir(mode=0o700, parents=True, exist_ok=True)
            private.chmod(0o700)

    def forget_sockets(self) -> None:
        """Remove what a mesh that was killed left behind, so that nothing connects to the dead."""
        if self.sockets.is_dir():
            for left in self.sockets.glob("*.sock"):
                left.unlink(missing_ok=True)
