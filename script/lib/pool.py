"""A pool of jobs: keeps all cores busy, and runs what measures time alone at the end.

Job      A command with a log. It says how long it takes about: the longest start first. What is
         judged when it has ended may add jobs: a build adds its suites.
Lanes    One more than cores: hardly a suite computes all of its time, so that each core would be
         idle for a tenth of it. A wide job (a build) takes as many as cores, any other takes one. A
         further job starts whenever the last look left a tenth of the machine idle: many suites
         wait most of their time for deadlines and deaths.
Quiet    A job that judges times runs when all others have ended, and alone.
Ends     A job past its deadline, and all jobs when the pool is interrupted: SIGTERM to the process
         group, five seconds to clean up, SIGKILL to every process that carries the job's mark, for
         tests start sessions of their own.
"""
import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass, field

MARK = "LARDER_TEST_JOB"
TICK_S = 0.05
IDLE_ENOUGH = 0.1
LOOK_S = 0.4  # a suite often takes less than a second
JOBS_PER_CORE_MAX = 8
CLEAN_UP_S = 5


@dataclass(eq=False)
class Job:
    part: str  # "plain"
    name: str  # "enum_test"
    command: list
    log: str  # gets what it prints
    # (job) -> None: fills passed, failed, failures when the command has ended
    judge: callable = None
    seconds: float = 1  # about; the longest start first
    deadline_s: float = 1800
    is_wide: bool = False  # has parallel work for all cores
    is_quiet: bool = False
    is_silent: bool = False  # has no line of its own in the report unless it fails
    env: dict = field(default_factory=dict)
    cwd: str = None
    # What became of it:
    status: int = None  # as of a shell; 124: missed its deadline
    passed: int = 0
    failed: int = 0
    failures: list = field(default_factory=list)  # names
    skipped: list = field(default_factory=list)  # what was not tested, and why
    shown: list = field(default_factory=list)  # more files to show the beginning of
    started_at: float = 0
    took_s: float = 0
    cpu_s: float = 0


def busy_and_all_ticks():
    with open("/proc/stat", encoding="ascii") as stat:
        ticks = [int(word) for word in stat.readline().split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def marked_processes(mark):
    wanted, found = f"{MARK}={mark}".encode(), []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as environ:
                if wanted in environ.read().split(b"\0") and int(pid) != os.getpid():
                    found.append(int(pid))
        except OSError:
            pass
    return found


class Pool:
    def __init__(self, cores, report):
        self.cores, self.report = cores, report
        self.waiting, self.running = [], {}
        self.ticks, self.ticks_at, self.idle = busy_and_all_ticks(), time.monotonic(), 0
        self.started_at = 0
        self.count = 0
        # A child that ends wakes the pool at once. Python's handler leaves a byte here.
        self.woken, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)

    def add(self, job):
        self.waiting.append(job)
        return job

    def run(self):
        try:
            while self.waiting or self.running:
                self.start_some()
                self.reap()
        finally:
            self.end_all()

    # ---- Starting ----

    def look_at_the_machine(self):
        now = time.monotonic()
        if now - self.ticks_at < LOOK_S:
            return
        busy, every = busy_and_all_ticks()
        self.idle = 1 - (busy - self.ticks[0]) / max(1, every - self.ticks[1])
        self.ticks, self.ticks_at = (busy, every), now

    def has_lane_for(self, job):
        running = [other for other, _, _ in self.running.values()]
        if job.is_quiet or any(other.is_quiet for other in running):
            return not running
        if job.is_wide:
            return not any(other.is_wide for other in running)
        if sum(self.cores if other.is_wide else 1 for other in running) <= self.cores:
            return True
        # Only a look that saw the effect of what started last says that there is room.
        has_room = self.idle >= IDLE_ENOUGH and self.ticks_at > self.started_at + LOOK_S
        return has_room and len(running) < JOBS_PER_CORE_MAX * self.cores

    def candidates(self):
        loud = [job for job in self.waiting if not job.is_quiet]
        return sorted(loud or self.waiting, key=lambda job: (job.is_wide, job.seconds), reverse=True)

    def start_some(self):
        self.look_at_the_machine()
        for job in self.candidates():
            if self.has_lane_for(job):
                self.waiting.remove(job)
                self.start(job)
            elif not job.is_wide:
                break  # nor has it for those that follow

    def start(self, job):
        self.count += 1
        mark = f"{os.getpid()}-{self.count}"
        with open(job.log, "wb") as log:
            child = subprocess.Popen(
                job.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                cwd=job.cwd, env={**os.environ, **job.env, MARK: mark}, start_new_session=True)
        self.started_at = time.monotonic()
        self.running[child.pid] = (job, child, mark)
        job.started_at = self.started_at

    # ---- Ending ----

    def reap(self):
        pid, status, usage = os.wait4(-1, os.WNOHANG) if self.running else (0, 0, None)
        if pid in self.running:
            job, child, _ = self.running.pop(pid)
            child.returncode = os.waitstatus_to_exitcode(status)
            job.status = job.status or child.returncode % 256
            job.took_s, job.cpu_s = time.monotonic() - job.started_at, usage.ru_utime + usage.ru_stime
            if job.judge:
                job.judge(job)
            self.report(job)
        elif pid == 0:
            if select.select([self.woken], [], [], TICK_S)[0]:
                os.read(self.woken, 4096)
            for pid, (job, _, mark) in self.running.items():
                if time.monotonic() - job.started_at > job.deadline_s and job.status is None:
                    job.status = 124
                    self.end([(pid, mark)])

    def end(self, victims):
        for pid, _ in victims:
            os.killpg(pid, signal.SIGTERM)
        until = time.monotonic() + CLEAN_UP_S
        while time.monotonic() < until and any(marked_processes(mark) for _, mark in victims):
            time.sleep(TICK_S)
        for _, mark in victims:
            for pid in marked_processes(mark):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass

    def end_all(self):
        self.end([(pid, mark) for pid, (_, _, mark) in self.running.items()])
