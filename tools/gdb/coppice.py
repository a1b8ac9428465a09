# SPDX-License-Identifier: Apache-2.0
#
# Processes of coppice in gdb: of a program that is stopped, or of its core file.
#
#   (gdb) source tools/gdb/coppice.py
#   (gdb) coppice ps              every process: pid, name or class, what it does, messages in its mailbox
#   (gdb) coppice bt <0.12.0>     its stack; "coppice bt all" shows the stack of every process that waits
#
# A process that waits in mid-function keeps its stack; its registers are where the switch has saved them. For `bt` they
# become those of the current thread, and are put back afterwards: do not continue the program in between. A core file's
# registers cannot be set, so there the frames are followed by their frame pointers and printed one by one (core files
# that the kernel wrote; those of gdb's generate-core-file end at the first guard page and lack most stacks). A server
# that waits for its next message owns no stack, and a process that runs is a thread of gdb's ("info threads").
import gdb

SLOT_BITS = 24
WAITING, CALL_WAIT, DEAD = 1, 2, 4
# Where jump_fcontext saves the registers, in words from the machine context, and how much it pops.
LAYOUT = {"rbx": 6, "rbp": 7, "r12": 2, "r13": 3, "r14": 4, "r15": 5, "rip": 8}
POPPED = 9 * 8


def atomic(value):
    """What a std::atomic holds."""
    value = value.cast(value.type.strip_typedefs())
    names = [field.name for field in value.type.fields()]
    if "_M_i" in names:
        return value["_M_i"]
    if "_M_p" in names:
        return value["_M_p"]
    return atomic(value[value.type.fields()[0]])  # std::atomic<T*> holds a base of its own


def items(vector):
    """The elements of a std::vector."""
    at, end = vector["_M_impl"]["_M_start"], vector["_M_impl"]["_M_finish"]
    while at != end:
        yield at.dereference()
        at += 1


def unique(pointer):
    """The pointer in a std::unique_ptr, whose deleter takes no room."""
    return pointer.address.cast(pointer.type.template_argument(0).pointer().pointer()).dereference()


def text(pointer):
    return pointer.string(errors="replace") if int(pointer) != 0 else ""


def runtimes():
    """Every Core of the program."""
    symbol = "coppice::runtime::(anonymous namespace)::registry()::cores"
    kind = gdb.lookup_type("std::vector<std::weak_ptr<coppice::runtime::Core>, "
                           "std::allocator<std::weak_ptr<coppice::runtime::Core> > >")
    try:
        cores = gdb.parse_and_eval("(void**)&'%s'" % symbol).dereference()
    except gdb.error:
        raise gdb.GdbError("this program has no coppice in it, or no symbols")
    if int(cores) == 0:
        raise gdb.GdbError("no Runtime has been made yet")
    for weak in items(cores.cast(kind.pointer()).dereference()):
        control = weak["_M_refcount"]["_M_pi"]
        if int(control) != 0 and int(control["_M_use_count"]) > 0:
            yield weak["_M_ptr"].dereference()


class Process:
    def __init__(self, core, line, sight, badge, thread, call):
        self.line = line
        self.call = call  # by hand-off, while its server runs; or None
        self.number = int(atomic(line["serial"]))
        self.word = int(atomic(line["head"]))
        self.sight = sight
        self.badge = badge
        self.core = core
        self.thread = thread  # number of the worker that runs it, or None
        self.pid = "<0.%d.%d>" % (self.number & ((1 << SLOT_BITS) - 1), self.number >> SLOT_BITS)

    def called(self):
        return text(atomic(self.sight["name"])) or text(atomic(self.badge["kind"])) or "-"

    def queued(self):
        return int(atomic(self.line["queue_length"]))

    def stack(self):
        """Its stack header if it waits in mid-function, else None."""
        if self.call is not None:
            return self.call["stack"].dereference()
        stack = atomic(self.line["stack"]["stack_"])
        if self.thread is not None or int(stack) == 0 or int(stack["context"]["machine"]) == 0:
            return None
        return stack.dereference()

    def state(self):
        if self.thread is not None:
            return "runs on worker %d" % self.thread
        callee = int(atomic(self.sight["callee"]))
        if self.call is not None:
            callee = int(atomic(self.call["server"].dereference()["serial"]))
        if callee != 0:
            return "calls <0.%d.%d>" % (callee & ((1 << SLOT_BITS) - 1), callee >> SLOT_BITS)
        if self.stack() is not None:
            return "waits" if self.word & WAITING else "runnable"
        return "idle" if self.word & WAITING else "runnable"


def processes():
    for core in runtimes():
        running = {}
        calling = {}
        for worker in items(core["workers_"]):
            worker = unique(worker)
            call = worker["under_way_"]
            while int(call) != 0:
                calling[int(call["caller"])] = call.dereference()
                call = call["outer"]
            if int(worker["current_"]) != 0:
                running[int(worker["current_"])] = int(worker["id_"])
        table = core["table_"]
        for slot in range(1, int(atomic(table["used_"]))):
            line = table["lines_"][slot]
            if int(atomic(line["serial"])) == 0 or int(atomic(line["head"])) & DEAD:
                continue
            thread = running.get(int(line.address))
            call = calling.get(int(line.address))
            yield Process(core, line, table["sights_"][slot], table["badges_"][slot], thread, call)


def word_at(address):
    kind = gdb.lookup_type("unsigned long")
    return int(gdb.Value(address).cast(kind.pointer()).dereference())


def print_by_frame_pointers(machine, high):
    number = 0
    frame, address = word_at(machine + 8 * LAYOUT["rbp"]), word_at(machine + 8 * LAYOUT["rip"])
    while address != 0:
        block = gdb.block_for_pc(address - 1)
        while block is not None and block.function is None:
            block = block.superblock
        where = gdb.find_pc_line(address - 1)
        place = " at %s:%d" % (where.symtab.filename, where.line) if where.symtab else ""
        gdb.write("#%-2d 0x%x in %s%s\n" % (number, address, block.function if block else "??", place))
        if frame == 0 or frame + 16 > high:
            return
        next_frame, address = word_at(frame), word_at(frame + 8)
        if next_frame != 0 and next_frame <= frame:
            return
        frame = next_frame
        number += 1


def print_stack(stack):
    machine = int(stack["context"]["machine"])
    high = int(stack["low"]) + int(stack["size"])
    gdb.newest_frame().select()
    wanted = {name: word_at(machine + 8 * word) for name, word in LAYOUT.items()}
    wanted["rsp"] = machine + POPPED
    saved = {name: int(gdb.parse_and_eval("(unsigned long)$%s" % name)) for name in wanted}
    try:
        try:
            for name, value in wanted.items():
                gdb.execute("set $%s = %d" % (name, value))
        except gdb.error:
            print_by_frame_pointers(machine, high)
            return
        gdb.execute("backtrace")
    finally:
        for name, value in saved.items():
            try:
                gdb.execute("set $%s = %d" % (name, value))
            except gdb.error:
                pass


class Coppice(gdb.Command):
    """Processes of coppice: coppice ps, coppice bt PID, coppice bt all."""

    def __init__(self):
        super().__init__("coppice", gdb.COMMAND_STACK, prefix=True)


class Ps(gdb.Command):
    """Every process: pid, name or class, what it does, messages in its mailbox."""

    def __init__(self):
        super().__init__("coppice ps", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        gdb.write("%-12s %-32s %-20s %s\n" % ("pid", "name", "does", "queued"))
        for process in processes():
            gdb.write("%-12s %-32s %-20s %d\n" % (process.pid, process.called(), process.state(), process.queued()))


class Bt(gdb.Command):
    """The stack of a process that waits: coppice bt <0.12.0>, or coppice bt all."""

    def __init__(self):
        super().__init__("coppice bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        wanted = argument.strip()
        if not wanted:
            raise gdb.GdbError("usage: coppice bt <0.12.0>, or coppice bt all")
        if gdb.selected_thread() is None:
            raise gdb.GdbError("the program does not run")
        if gdb.selected_frame().architecture().name() != "i386:x86-64":
            raise gdb.GdbError("coppice bt knows where x86-64 keeps its registers, and no other machine yet")
        found = False
        for process in list(processes()):
            if wanted not in ("all", process.pid):
                continue
            stack = process.stack()
            if wanted == "all" and stack is None:
                continue
            found = True
            gdb.write("%s %s, %s\n" % (process.pid, process.called(), process.state()))
            if stack is not None:
                print_stack(stack)
            elif process.thread is not None:
                gdb.write("it runs: see the thread coppice.%d in info threads\n" % process.thread)
            else:
                gdb.write("it owns no stack\n")
        if not found:
            raise gdb.GdbError("no process %s" % wanted if wanted != "all" else "no process keeps a stack")


Coppice()
Ps()
Bt()
