"""What script/test does: which jobs there are, and what counts as passed.

script/test has the arguments.
"""
import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from glob import glob

from pool import Job, Pool
from tidy import Tidy

LOGS = "build/log"
CHECKS = ["bash", "script/lib/checks.sh"]
COUNT = re.compile(r"(\d+) passed, (\d+) failed")
SHOWN_LINES = 60

# Of a whole suite: its deadline in meson.build times this. It ends what hangs: a loaded machine is
# not a failure, and a test has a deadline of its own (tests/support/slow.h).
SLOWNESS = {"plain": 20, "asan": 40, "tsan": 60}

# Left out of --quick; under a sanitizer, unless with --long.
LEFT_OUT = {
    # Half the time of all suites, for deaths and races in great numbers.
    "quick": ["recovery_test", "step_test", "threads_test", "repair_history_test", "check_live_test", "kill_test"],
    # Deaths and stops that many others resemble: the plain build has them all, and the address
    # sanitizer makes them slow.
    "asan": ["recovery_test", "order_test", "stores_test", "wake_test", "step_test", "enum_test", "stop_test",
             "kill_test"],
}
# Thousands of deaths with one thread each say nothing about threads, and take an hour there.
LEFT_OUT_SUITE = {"tsan": "crash"}


def lines_of(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []


class Run:
    def __init__(self, options):
        self.is_quick, self.is_long, self.filters = options.quick, options.long, options.names
        self.cores = options.jobs or os.cpu_count() or 1
        self.pool = Pool(self.cores, self.report)
        self.start = time.monotonic()
        self.passed = self.failed = self.tests = 0
        self.failures = []  # (part, name, what failed, log)
        self.times = {}  # (part, name) -> the seconds of the last time, and of this one
        for line in lines_of(f"{LOGS}/times"):
            if len(words := line.split()) == 5 and words[0] != "#":
                self.times[words[0], words[1]] = words[2:]

    # ---- Reporting ----

    def report(self, job):
        at = job.started_at - self.start
        self.times[job.part, job.name] = [f"{seconds:.1f}" for seconds in (job.took_s, job.cpu_s, at)]
        if not job.is_silent or job.failed:
            self.tally(job)

    def tally(self, job):
        self.passed += job.passed
        self.failed += job.failed
        at = time.monotonic() - self.start
        count = f"{job.passed:4} passed, {job.failed} failed"
        print(f"{job.part:8} {job.name:22} {count}  ({job.took_s:.0f} s, at {at:.0f} s)")
        for line in job.skipped:
            print(f"    {line}")
        if job.failed:
            self.show(job.log, lines_of(job.log)[-SHOWN_LINES:], "end of ")
            for path in job.shown:
                self.show(path, lines_of(path)[:SHOWN_LINES], "")
            self.failures.append((job.part, job.name, job.failures, job.log))
        sys.stdout.flush()

    @staticmethod
    def show(path, lines, what):
        print(f"    ---- {what}{path}")
        print("".join(f"    {line}\n" for line in lines), end="")

    def close(self):
        with open(f"{LOGS}/times", "w", encoding="utf-8") as times:
            times.write("# part name seconds cpu-seconds started-at\n")
            times.writelines(f"{' '.join([*key, *words])}\n" for key, words in self.times.items())
        if self.tests == 0 and self.failed == 0:
            print("no test of that name")
            self.failed = 1
        if self.failures:
            print("failed:")
        for part, name, what, log in self.failures:
            print(f"    {part} {name}: {', '.join(what) or 'see its log'}\n        {log}")
        print(f"{self.passed} passed, {self.failed} failed")
        return int(self.failed > 0)

    # ---- Judging ----

    @staticmethod
    def judge_check(job):
        """One test, which passed if the command succeeded."""
        job.passed, job.failed = (0, 1) if job.status else (1, 0)
        if job.failed:
            lines = lines_of(job.log) if job.status != 124 else ["error: missed its deadline"]
            errors = [line for line in lines if re.search(r"\berror:|^FAILED:|ERROR:", line)]
            job.failures = [line[:160] for line in errors[:3]]

    @staticmethod
    def judge_program(job):
        """It closed with "N passed, N failed"."""
        lines = lines_of(job.log)
        said = COUNT.fullmatch(lines[-1]) if lines else None
        job.passed, job.failed = (int(said[1]), int(said[2])) if said else (0, 1)
        job.skipped = [line for line in lines if line.startswith("skipped: ")]
        job.shown = sorted(glob(f"{job.log[:-len('.log')]}.report.*"))
        if job.status or job.shown:
            job.failed = job.failed or 1
        if job.failed:
            what = [line.strip()[:120] for line in lines if "FAILED" in line]
            job.failures = what or [f"ended with status {job.status}"]

    def judge_suite(self, job):
        """run_suite left a count. None: it did not end."""
        base = job.log[:-len(".out")]
        job.shown = sorted(glob(f"{base}.report.*"))
        count = " ".join(lines_of(f"{base}.count")).split()
        if count:
            job.log = f"{base}.log"
        job.passed, job.failed = (int(count[0]), int(count[1])) if count else (0, 1)
        if job.status:
            job.failed = job.failed or 1
        if job.failed:
            found = (re.match(r"\[FAIL\] (\S+?):? ", line) for line in lines_of(job.log))
            job.failures = [match[1] for match in found if match] + [os.path.basename(path) for path in job.shown]
            if job.status == 124:
                job.failures.append("missed its deadline")
            elif not count:
                job.failures.append(f"ended without a count, status {job.status}")

    # ---- Jobs ----

    def seconds_of(self, part, name, guess):
        return float(self.times.get((part, name), [guess])[0])

    def is_wanted(self, name):
        return not self.filters or any(part in name for part in self.filters)

    def add_check(self, part, name, command, **more):
        more.setdefault("judge", self.judge_check)
        self.pool.add(Job(part, name, command, f"{LOGS}/{part}-{name}.log", **more))

    def add_program(self, part, name, command, **more):
        if not self.is_wanted(name):
            return
        self.tests += 1
        base = f"{LOGS}/{part}-{name}"
        self.pool.add(Job(part, name, command, f"{base}.log", judge=self.judge_program, **more))

    def add_build(self, part, seconds, then, whatever_became_of_it=None):
        def judge(job):
            self.judge_check(job)
            if job.passed:
                then(part)
            if whatever_became_of_it:
                whatever_became_of_it()

        command = [*CHECKS, "build", part, str(self.cores)]
        self.add_check(part, "build", command, judge=judge, is_wide=True, seconds=seconds)

    def add_suites(self, part):
        results = os.path.abspath(f"{LOGS}/{part}-suites")
        subprocess.run(["rm", "-rf", results], check=True)
        os.makedirs(results)
        left_out = LEFT_OUT.get("quick" if self.is_quick and not self.filters else part, [])
        with open(f"build/{part}/meson-info/intro-tests.json", encoding="utf-8") as tests:
            for test in json.load(tests):
                name, kinds = test["name"], [suite.split(":")[-1] for suite in test["suite"]]
                is_left_out = name in left_out or LEFT_OUT_SUITE.get(part) in kinds
                if self.is_wanted(name) and (self.is_long or not is_left_out):
                    self.add_suite(part, test, results, kinds)

    def add_suite(self, part, test, results, kinds):
        self.tests += 1
        name, slowness = test["name"], SLOWNESS[part] * (60 if self.is_long else 1)
        seconds = self.seconds_of(part, name, test["timeout"] / 4)
        # As meson does: memory that was never set is not zero by luck.
        env = {"LARDER_TEST_RESULTS": results, "MALLOC_PERTURB_": str(random.randint(1, 255)), **test["env"]}
        if "crash" in kinds:
            # A fifth of their time, in thousands of processes. The other suites look for that.
            env["ASAN_OPTIONS"] = "detect_stack_use_after_return=0"
        self.pool.add(Job(
            part, name, test["cmd"], os.path.relpath(f"{results}/{name}.out"), judge=self.judge_suite,
            env=env, cwd=test["workdir"] or f"build/{part}", seconds=seconds,
            deadline_s=test["timeout"] * slowness, is_quiet=not test["is_parallel"]))

    def add_script_tests(self, part, larder):
        if not os.access(larder, os.X_OK):
            return
        for script in sorted(glob("tests/**/*_test.sh", recursive=True)):
            # Clients cost more than what they ask: one build shows that they are content. Rules of
            # the sources are the same in each.
            if script.startswith(("tests/clients/", "tests/house/")) and part != "plain" and not self.is_long:
                continue
            name = os.path.basename(script)[:-len(".sh")]
            reports = os.path.abspath(f"{LOGS}/{part}-{name}.report")
            for report in glob(f"{reports}.*"):
                os.remove(report)
            self.add_program(
                part, name, ["bash", script, os.path.abspath(larder)], seconds=self.seconds_of(part, name, 10),
                deadline_s=7200,
                env={"ASAN_OPTIONS": f"log_path={reports}", "UBSAN_OPTIONS": f"log_path={reports}"})

    def add_torture(self):
        if not os.access("build/plain/tests/torture/larder_torture", os.X_OK):
            return
        rounds, seconds = (1000, 600) if self.is_long else (40, 5) if self.is_quick else (40, 20)
        self.add_program("plain", "recover_time", ["build/plain/tests/torture/recover_time", "--rounds", str(rounds)],
                         is_quiet=True, deadline_s=7200)
        self.add_program("plain", "torture", ["build/plain/tests/torture/larder_torture", "--seconds", str(seconds),
                                              "--keep-in", "build/torture"], seconds=seconds, deadline_s=7200)
        if self.is_long:  # the segment is always full, and evicts
            self.add_program("plain", "torture_evict", ["build/plain/tests/torture/larder_torture", "--evict",
                                                        "--seconds", str(seconds), "--keep-in", "build/torture"],
                             seconds=seconds, deadline_s=7200)

    def tested_build(self, part):
        self.add_suites(part)
        if part != "tsan":
            self.add_script_tests(part, f"build/{part}/cli/larder")
        if part == "plain":
            self.add_torture()

    def release_build(self, part):
        larder = "build/release/cli/larder"
        if self.is_long and os.access(larder, os.X_OK):
            wrapper = f"{LOGS}/larder-valgrind"
            with open(wrapper, "w", encoding="utf-8") as file:
                file.write("#!/bin/sh\nexec valgrind -q --error-exitcode=99 --leak-check=full "
                           f"{os.path.abspath(larder)} \"$@\"\n")
            os.chmod(wrapper, 0o755)
            larder = wrapper
        self.add_script_tests(part, larder)
        if not self.filters:
            self.add_check(part, "exports", [*CHECKS, "exports_are_the_header", "build/release/liblarder.so"])
            self.add_check(part, "exports of larder-dynamodb",
                           [*CHECKS, "exports_are_the_header", "build/release/dynamodb/liblarder-dynamodb.so", "larder_dynamodb.h"])
            self.add_check(part, "own names of larder-dynamodb", [*CHECKS, "own_names_are_complete"])

    def add_tidy(self):
        """Once build/asan knows what each file includes."""
        self.add_check("clang", "setup", [*CHECKS, "setup", "clang"], seconds=30,
                       judge=lambda job: (self.judge_check(job), job.status or self.add_tidy_jobs()))

    def add_tidy_jobs(self):
        todo = list(Tidy(self.is_long).jobs())
        whole = Job("tidy", "clang_tidy", [], f"{LOGS}/tidy-clang_tidy.log", passed=1)
        left = len(todo)
        with open(whole.log, "w", encoding="utf-8") as log:
            log.write(f"{sum(len(sources) for sources, _, _ in todo)} files to look at\n")

        def judge(job, notes):
            nonlocal left
            left -= 1
            whole.cpu_s += job.cpu_s
            whole.took_s += job.took_s
            if job.status:
                whole.passed, whole.failed = 0, 1
                whole.failures.append(job.name)
                with open(whole.log, "a", encoding="utf-8") as log:
                    log.write("\n".join(lines_of(job.log)) + "\n")
            else:
                os.remove(job.log)
                for path, note in notes:
                    with open(path, "w", encoding="ascii") as file:
                        file.write(note)
            if left == 0:
                self.tally(whole)

        for number, (sources, command, notes) in enumerate(todo):
            name = f"{sources[0]}_and_{len(sources) - 1}_more"
            self.pool.add(Job("tidy", name, command, f"{LOGS}/tidy/{number}.log", is_silent=True, seconds=4,
                              judge=lambda job, notes=notes: judge(job, notes)))
        if left == 0:
            self.tally(whole)

    def add_fuzzers(self, _):
        """Their corpora, and a few seconds of new inputs each. script/fuzz is for more."""
        seconds = 600 if self.is_long else 4
        for source in sorted(glob("tests/fuzz/*_fuzz.c")):
            name = os.path.basename(source)[:-len("_fuzz.c")]
            command = ["script/fuzz", "--built", "--seconds", str(seconds), name]
            self.add_program("fuzz", name, command, seconds=seconds, deadline_s=7200)

    def add_all(self):
        self.add_build("plain", 60, self.tested_build)
        if self.is_quick:
            return
        self.add_build("asan", 50, self.tested_build, None if self.filters else self.add_tidy)
        self.add_build("tsan", 40, self.tested_build)
        self.add_build("release", 10, self.release_build)
        if self.filters:
            return
        self.add_check("fuzz", "build", ["script/fuzz", "--build"], is_wide=True, seconds=20,
                       judge=lambda job: (self.judge_check(job), job.status or self.add_fuzzers(job)))
        self.add_check("headers", "larder_h_strict", [*CHECKS, "larder_h_is_strict"])
        self.add_check("headers", "compile_alone", [*CHECKS, "headers_compile_alone"], seconds=8)
        self.add_check("format", "clang_format", ["script/format", "--check"])


def interrupted(number, _):
    print("interrupted")
    sys.exit(128 + number)  # the pool ends its jobs first


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--jobs", type=int)
    parser.add_argument("names", nargs="*")
    run = Run(parser.parse_args())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    os.makedirs(LOGS, exist_ok=True)
    run.add_all()
    run.pool.run()
    return run.close()


if __name__ == "__main__":
    sys.exit(main())
