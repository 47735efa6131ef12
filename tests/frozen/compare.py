"""compare.py FROZEN TODAY - whether what was built against FROZEN may run with a library of TODAY.

Two copies of larder.h. Prints each difference that breaks such a program; comments and new things do not. A structure keeps
its size and the places of its members; new members may take the place of reserved ones. Constants keep their values,
functions their declarations.
"""
import re
import subprocess
import sys
import tempfile


def plain(path):
    text = open(path, encoding="utf-8").read()
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    return text.replace("\\\n", " ")


def functions(text):
    found = {}
    for declaration in re.findall(r"\nLARDER_API ([^;#]*);", text):
        words = " ".join(declaration.split())
        found[re.search(r"(\w+)\(", words).group(1)] = words
    return found


def structures(text):
    """name -> list of (member, declaration)"""
    found = {}
    for name, body in re.findall(r"\nstruct (\w+) \{(.*?)\n\};", text, flags=re.S):
        members = []
        for declaration in body.split(";"):
            words = " ".join(declaration.split())
            if not words:
                continue
            callback = re.search(r"\(\*(\w+)\)\(", words)
            if callback:
                members.append((callback.group(1), words))
                continue
            first, *more = words.split(",")
            base = re.match(r"(.*?[\s*])(\w+)(\[[^]]*\])?$", first.strip())
            for part in [base.group(2) + (base.group(3) or "")] + [m.strip() for m in more]:
                member = re.match(r"\**(\w+)", part).group(1)
                members.append((member, base.group(1).rstrip(" *") + " " + part))
        found[name] = members
    return found


def constants(text):
    names = re.findall(r"#define (LARDER_\w+) +\S", text)
    for body in re.findall(r"enum \w+ \{(.*?)\}", text, flags=re.S):
        names += re.findall(r"\bLARDER_\w+", body)
    return [n for n in names if n != "LARDER_API" and not n.startswith("LARDER_VERSION")]


def measure(header, structs, names):
    """What the compiler says of sizes, places and values, by name."""
    lines = [f'#include "{header}"', "#include <stddef.h>", "#include <stdio.h>", "int main(void) {"]
    for struct, members in structs.items():
        lines.append(f'    printf("size of struct {struct}: %zu\\n", sizeof(struct {struct}));')
        for member, _ in members:
            if member != "reserved":
                where = f"offsetof(struct {struct}, {member})"
                size = f"sizeof(((struct {struct} *)0)->{member})"
                lines.append(f'    printf("struct {struct}.{member}: %zu, %zu bytes\\n", {where}, {size});')
    for name in names:
        lines.append(f'    printf("{name}: %lld\\n", (long long)({name}));')
    lines += ["    return 0;", "}"]
    with tempfile.TemporaryDirectory() as folder:
        source, program = folder + "/measure.c", folder + "/measure"
        open(source, "w", encoding="utf-8").write("\n".join(lines))
        subprocess.run(["cc", "-o", program, source], check=True)
        said = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    return dict(line.split(": ", 1) for line in said.splitlines())


def main(frozen_path, today_path):
    frozen, today = plain(frozen_path), plain(today_path)
    differences = []
    there = functions(today)
    for name, declaration in functions(frozen).items():
        if there.get(name) != declaration:
            differences.append(f"{name}(): {declaration}; today: {there.get(name)}")
    structs, structs_today = structures(frozen), structures(today)
    missing = [s for s in structs if s not in structs_today]
    differences += [f"struct {s} is gone" for s in missing]
    for struct, members in structs.items():
        now = dict(structs_today.get(struct, []))
        for member, declaration in members:
            if struct not in missing and member != "reserved" and now.get(member) != declaration:
                differences.append(f"struct {struct}: {declaration}; today: {now.get(member)}")
        if struct not in missing and "reserved" in now and not re.fullmatch(r"uint64_t reserved\[\d+\]", now["reserved"]):
            differences.append(f"struct {struct}: {now['reserved']} is no array of uint64_t")
    names = constants(frozen)
    gone = [n for n in names if not re.search(rf"\b{n}\b", today)]
    differences += [f"{n} is gone" for n in gone]
    if not differences:
        wanted = measure(frozen_path, structs, names)
        got = measure(today_path, structs, names)
        differences += [f"{k}: {v}; today: {got.get(k)}" for k, v in wanted.items() if got.get(k) != v]
        if len(structs) < 20 or len(names) < 60 or len(functions(frozen)) < 60:
            differences.append(f"only {len(structs)} structures, {len(names)} constants were found")
    print("\n".join(differences), end="\n" if differences else "")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
