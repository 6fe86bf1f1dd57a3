"""A mesh of two children that only listen, under the real supervisor."""

import json
import os
import signal
import socket
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from deploy import children, processes, state, supervisor
from deploy.layout import Layout
from libs import settings


@dataclass
class SmallMesh:
    """What the supervisor needs to know of a mesh."""

    layout: Layout
    names: list[str]
    detached: bool = True

    @property
    def admin_socket(self):
        return self.layout.socket("admin")

    def programs(self):
        return []

    def modules(self):
        return []

    def replicas(self):
        return [
            children.Spec(
                name=name,
                log=self.layout.log(name),
                begin=self._broken if name.startswith("broken") else self._listen(name),
                addresses=(self.layout.target(name),),
            )
            for name in self.names
        ]

    def scaled(self):
        wanted = json.loads(self.layout.scale_file.read_text())
        return replace(self, names=wanted)

    def describe(self, started_in_s, described):
        return state.MeshState(
            pid=os.getpid(),
            started=processes.start_time(os.getpid()),
            edge="",
            mesh_target="",
            admin="",
            redis_url="",
            replicas={},
            detached=True,
            first_start=False,
            started_in_s=started_in_s,
            children=described,
        )

    def _listen(self, name):
        def begin():
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            self.layout.socket(name).unlink(missing_ok=True)
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(str(self.layout.socket(name)))
                server.listen()
                life = settings.environment("PODIUM_LIFE")
                ended = settings.environment("PODIUM_ENDED_LIVES")
                self.layout.log(f"{name}-lives").open("a").write(f"{life} {ended}\n")
                signal.sigwait([signal.SIGTERM])
            print("drained")

        return begin

    def _broken(self):
        print("no such table: cheese")
        raise SystemExit(3)


if __name__ == "__main__":
    home = Layout(Path(sys.argv[1]))
    home.create()
    mesh = SmallMesh(home, ["a-1", "b-1", *(f"{name}-1" for name in sys.argv[3:])])
    raise SystemExit(supervisor.oversee(mesh, supervisor.announce_on(int(sys.argv[2]))))
