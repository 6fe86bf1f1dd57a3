"""What wakes the supervisor: signals, the end of its terminal, or a time that is over."""

from __future__ import annotations

import logging
import os
import select
import selectors
import signal
import socket

log = logging.getLogger("podium.supervisor")
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
LOOK_SIGNAL = signal.SIGUSR1


class Alarms:
    """Waits for all of them at once, without threads; `stop_because` is set when it is time."""

    def __init__(self, watch_terminal: bool) -> None:
        self.stop_because = ""
        self.look_again = False  # somebody has changed what is wanted
        self._selector = selectors.DefaultSelector()
        self._listen_to_signals()
        if watch_terminal:
            self._watch_terminal()

    def wait(self, longest_s: float | None) -> None:
        """Return when something happened, or after `longest_s` (None: wait for ever)."""
        for key, _ in self._selector.select(longest_s):
            key.data()

    def _listen_to_signals(self) -> None:
        """Each signal becomes a byte that ends the waiting: no race, no polling."""
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        # The wake-up byte is all there is to a child's death; ignoring it would reap the child.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in STOP_SIGNALS:
            signal.signal(number, self._on_stop_signal)
        signal.signal(LOOK_SIGNAL, self._on_look_signal)
        self._selector.register(self._reader, selectors.EVENT_READ, lambda: self._reader.recv(4096))

    def _on_stop_signal(self, number: int, _frame: object) -> None:
        self.stop_because = self.stop_because or signal.Signals(number).name

    def _on_look_signal(self, _number: int, _frame: object) -> None:
        self.look_again = True

    def _watch_terminal(self) -> None:
        """Without a terminal (CI, a container) there is none whose end could matter."""
        try:
            self._terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            log.info("no terminal to watch; `podium down` ends this mesh")
            return
        # A terminal is always writable and often readable; only its end is of interest.
        self._hangup = select.epoll()
        self._hangup.register(self._terminal, select.EPOLLHUP | select.EPOLLERR)
        self._selector.register(self._hangup, selectors.EVENT_READ, self._on_terminal_gone)

    def _on_terminal_gone(self) -> None:
        self._selector.unregister(self._hangup)
        self.stop_because = self.stop_because or "the terminal is gone"
