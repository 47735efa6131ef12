"""clang-tidy of each file that is not known to be fine.

Which    Every file of a release by clang, once, with the arguments of its first compilation: that of
         the shipped library. Suites and their kits are not among them: the analyzer spends minutes
         in Criterion's macros.
Warnings clang-tidy reports clang's own, too, so build/clang is set up and compiles nothing.
Jobs     Some files each: a start takes as long as a small file.
Depth    The analyzer leaves a function after so many steps: 75,000, or with --long the 225,000 that
         are its own limit. Of the 217 functions in the 30 largest files of the engine, 149 end
         within 75,000 steps, 17 more within 225,000; of 2,390 blocks the short run sees 9 less.
Known    A file that was fine leaves a note: the hash of all that the verdict depends on. That is
         the file, each header that it includes (ninja knows them from clang's build with the
         address sanitizer), its arguments, the depth, .clang-tidy, and clang-tidy's version.
"""
import hashlib
import json
import os
import subprocess

BUILD = "build/clang"
COMPILED = "build/asan"  # the same files by the same compiler, under the same names
FILES_OF_A_JOB = 8
DATABASE = "build/log/tidy"  # the notes, and a compile_commands.json with one entry for each file
STEPS_SHORT, STEPS_LONG = 75000, 225000


def includes_of():
    """Object -> what it was compiled from, as paths from the build folder."""
    said = subprocess.run(["ninja", "-C", COMPILED, "-t", "deps"], capture_output=True, text=True, check=True).stdout
    found, files = {}, []
    for line in said.splitlines():
        if line.startswith("    "):
            files.append(line.strip())
        elif ": #deps" in line:
            files = found[line.split(": #deps")[0]] = []
    return found


class Tidy:
    def __init__(self, is_long):
        steps = STEPS_LONG if is_long else STEPS_SHORT
        self.depth = [f"--extra-arg={word}" for word in
                      ("-Xclang", "-analyzer-config", "-Xclang", f"max-nodes={steps}")]
        self.version = subprocess.run(["clang-tidy", "--version"], capture_output=True, check=True).stdout
        self.version += open(".clang-tidy", "rb").read()
        self.hashes = {}

    def hash_of(self, path):
        if path not in self.hashes:
            with open(path, "rb") as file:
                self.hashes[path] = hashlib.sha256(file.read()).digest()
        return self.hashes[path]

    def note_of(self, entry, files):
        note = hashlib.sha256(self.version + " ".join([entry["command"], *self.depth]).encode())
        for path in sorted({os.path.normpath(os.path.join(BUILD, file)) for file in [entry["file"], *files]}):
            note.update(path.encode() + self.hash_of(path))
        return note.hexdigest()

    def jobs(self):
        """(sources, command, [(path of the note, note)...]) of each."""
        todo = self.files_to_look_at()
        count = -(-len(todo) // FILES_OF_A_JOB)
        for files in (todo[i::count] for i in range(count)):
            sources = [source for source, _, _ in files]
            yield sources, ["clang-tidy", "--quiet", *self.depth, "-p", DATABASE, *sources], [file[1:] for file in files]

    def files_to_look_at(self):
        """(source, path of its note, note) of each."""
        with open(f"{BUILD}/compile_commands.json", encoding="utf-8") as database:
            entries = json.load(database)
        includes, chosen, todo = includes_of(), {}, []
        for entry in entries:
            # llhttp is not ours: its files have absolute paths.
            if not entry["file"].endswith(("_test.c", "_kit.c")) and not os.path.isabs(entry["file"]):
                chosen.setdefault(os.path.normpath(os.path.join(BUILD, entry["file"])), entry)
        os.makedirs(DATABASE, exist_ok=True)
        with open(f"{DATABASE}/compile_commands.json", "w", encoding="utf-8") as database:
            json.dump(list(chosen.values()), database, indent=1)
        for source, entry in sorted(chosen.items()):
            path = f"{DATABASE}/{source.replace('/', '_')}"
            is_known, note = entry["output"] in includes, ""
            if is_known:
                note = self.note_of(entry, includes[entry["output"]])
            if not is_known or not os.path.exists(path) or open(path, encoding="ascii").read() != note:
                todo.append((source, path, note))
        return todo
