"""The cycle model once more, slowly and in plain Python: dictionaries and lists, no fixed sizes, one CPU."""

from __future__ import annotations

from dataclasses import dataclass, field

from emu.timing import layout as w
from emu.timing.layout import Branch, Detail

NO = w.NONE


@dataclass
class Store:
    address: int
    size: int
    ready: int
    commit: int
    number: int
    renames: bool
    older: int
    slot: int


class Tags:
    """Sets of tags, the most recent first."""

    def __init__(self, sets: int, ways: int) -> None:
        self.sets, self.ways = sets, ways
        self.rows: dict[int, list[int]] = {}

    def touch(self, key: int) -> bool:
        row = self.rows.setdefault(key % self.sets, [])
        hit = key in row
        if hit:
            row.remove(key)
        row.insert(0, key)
        del row[self.ways :]
        return hit


@dataclass
class PlainCpu:
    """One CPU; ``p`` are the model's parameters by name."""

    p: dict[str, int]
    registers: dict[int, int] = field(default_factory=dict)
    loaded: dict[int, int] = field(default_factory=dict)  # when the load was complete that wrote a register
    busy: dict[int, int] = field(default_factory=dict)
    tails: dict[int, int] = field(default_factory=dict)
    stores: dict[int, Store] = field(default_factory=dict)  # by 8-byte granule, where the model keeps it
    retired_at: list[int] = field(default_factory=list)  # by reorder buffer entry
    loads_at: list[int] = field(default_factory=list)
    commits_at: list[int] = field(default_factory=list)
    returns: list[int] = field(default_factory=list)
    plain: dict[int, int] = field(default_factory=dict)
    mixed: dict[int, int] = field(default_factory=dict)
    targets: dict[int, tuple[int, int]] = field(default_factory=dict)
    first: dict[int, int] = field(default_factory=dict)
    far: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    outcomes: list[int] = field(default_factory=list)
    btb: dict[int, int] = field(default_factory=dict)
    clock: int = 0
    mispredicts: int = 0

    def __post_init__(self) -> None:
        p = self.p
        self.l1i, self.l1d, self.l2, self.llc, self.tlb1, self.tlb2 = (
            Tags(p[f"{n}_sets"], p[f"{n}_ways"]) for n in ("l1i", "l1d", "l2", "llc", "l1_tlb", "l2_tlb")
        )
        self.fetch = self.delivery = self.fetch_slots = self.window = self.shadow = 0
        self.line = NO
        self.dispatch = self.slots = self.stores_in = self.block = self.retire = self.retire_count = 0
        self.commit = self.commit_line = self.commit_count = self.commit_run = self.share = 0
        self.all_done = self.loads_done = self.barrier = self.lock_done = 0
        self.history = self.path = self.window_start = self.lock_address = self.predicted = 0
        self.exited = False
        self.head = (NO, 0, 0, 0)
        self.nop_open = self.stack_moved = False
        self.port = 0
        self.repeating = NO
        self.repeat_bytes = self.repeat_start = 0

    # --- ports
    def take(self, ports: int, ready: int, keep: int) -> int:
        cycle = ready
        while not ports & ~self.busy.get(cycle, 0):
            cycle += 1
        free = [1 << bit for bit in range(w.PORT_BITS) if ports & ~self.busy.get(cycle, 0) & 1 << bit]
        self.port = min(free, key=lambda port: (self.tails.get(port, 0), port))
        for ahead in range(keep):
            self.busy[cycle + ahead] = self.busy.get(cycle + ahead, 0) | self.port
        self.tails[self.port] = max(self.tails.get(self.port, 0), cycle + keep - 1)
        return cycle

    # --- caches
    def beyond(self, line: int) -> int:
        if self.l2.touch(line):
            return self.p["l2_latency"]
        return self.p["llc_latency"] if self.llc.touch(line) else self.p["memory_latency"]

    def reach(self, address: int) -> int:
        page, line = address >> 12, address >> 6
        extra = 0
        if not self.tlb1.touch(page):
            extra = self.p["l2_tlb_latency"] if self.tlb2.touch(page) else self.p["walk_latency"]
        return extra if self.l1d.touch(line) else extra + self.beyond(line)

    # --- fetch
    def open_window(self, target: int) -> None:
        self.window = target // 64 * 64 + self.p["late_window" if target % 64 >= 32 else "first_window"]

    def fetch_later(self, cycle: int) -> None:
        if cycle > self.fetch:
            self.fetch = self.predicted = cycle

    def fetch_line(self, line: int) -> None:
        self.line = line
        if not self.l1i.touch(line):
            self.fetch_later(self.fetch + self.beyond(line) + self.p["decode_miss"])

    def fetched(self, pc: int, length: int, slots: int, microcoded: bool) -> int:
        behind = self.dispatch - self.p["fetch_ahead"]
        self.fetch, self.delivery = max(self.fetch, behind), max(self.delivery, behind)
        line = (pc + length - 1) // 64
        if line != self.line:
            if self.line < 0:
                self.open_window(pc)
                if pc // 64 != line:
                    self.fetch_line(pc // 64)
            self.fetch_line(line)
        while pc + length > self.window:
            self.predicted += 1
            self.fetch, self.shadow = max(self.fetch + 1, self.predicted), 1
            self.window += self.p["next_window"]
            self.exited = False
        if self.fetch > self.delivery:
            self.delivery, self.fetch_slots = self.fetch, 0
        if microcoded:
            self.delivery, self.fetch_slots = self.delivery + self.p["microcode_entry"], 0
        if self.fetch_slots and self.fetch_slots + slots > self.p["fetch_width"]:
            self.delivery, self.fetch_slots = self.delivery + 1, 0
        begun = self.delivery
        self.fetch_slots += slots
        while self.fetch_slots > self.p["fetch_width"]:
            self.delivery, self.fetch_slots = self.delivery + 1, self.fetch_slots - self.p["fetch_width"]
        return begun

    # --- branches
    def predict(self, kind: int, pc: int, after: int, target: int) -> bool:
        taken, right = target != after, True
        if kind == Branch.CONDITIONAL:
            one = (pc ^ pc >> 12) % w.DIRECTIONS
            two = (pc ^ self.history * 0x9E5) % w.DIRECTIONS
            a, b = self.plain.get(one, 0), self.mixed.get(two, 0)
            said = (b if abs(b) == 2 else a) > 0
            change = 1 if taken else -1
            self.plain[one], self.mixed[two] = (max(-2, min(2, value + change)) for value in (a, b))
            self.history = (self.history * 2 + taken) % 4096
            right = self.predict_far(pc, taken, said) == taken
        elif kind in (Branch.INDIRECT, Branch.INDIRECT_CALL):
            slot = (pc ^ self.path ^ self.path >> 10) % w.INDIRECTS
            right = self.targets.get(slot) == (pc, target)
            self.targets[slot] = pc, target
        if taken:
            came = target ^ target >> 4 if kind == Branch.INDIRECT else 0
            self.path = (self.path * 4 ^ (after - 1) // 4 % 4 ^ came) % (1 << 20)
        if kind in (Branch.CALL, Branch.INDIRECT_CALL) and taken:
            self.returns = [*self.returns, after][-self.p["return_stack"] :]
        elif kind == Branch.RETURN:
            right = bool(self.returns) and self.returns.pop() == target
        return right

    def predict_far(self, pc: int, taken: bool, said: bool) -> bool:
        """Return what is predicted, by the longest history that knows the branch, else ``said``."""
        lengths = [self.p["history"] // 8, self.p["history"]]
        if not lengths[1]:
            return said
        slots = []
        for number, length in enumerate(lengths):
            folded = {31: 0, 29: 0}
            for event in self.outcomes[len(self.outcomes) - min(length, len(self.outcomes)) :]:
                for bits, value in folded.items():
                    folded[bits] = (value << 1 | value >> bits - 1) % (1 << bits) ^ event
            both = (pc * 0x9E3779B1 ^ folded[31] * 0x85EBCA6B ^ folded[29] * 0xC2B2AE35) % (1 << 48)
            both ^= both >> 17
            slots.append(((number, both % w.TAGGED), both >> 24))
        known = [at for at, (slot, tag) in enumerate(slots) if self.far.get(slot, (None, 0))[0] == tag]
        change = 1 if taken else -1
        if known:
            slot, tag = slots[known[-1]]
            counter = self.far[slot][1]
            said = counter > 0
            self.far[slot] = tag, max(-2, min(2, counter + change))
        if said != taken:
            for slot, tag in slots[known[-1] + 1 if known else 0 :]:
                self.far[slot] = tag, change
        self.outcomes.append((pc * 2 + taken) * 0x9E3779B1 % (1 << 29))
        return said

    def second_thought(self, kind: int, pc: int, after: int, target: int, right: bool) -> int:
        """Return by how many cycles a first prediction is corrected."""
        slot = (pc ^ self.window_start * 5) % w.FIRSTS
        first = self.first.get(slot, 0)
        if kind == Branch.CONDITIONAL:
            self.first[slot] = min(first + 1, 2) if target != after else 0
            if target == after:
                self.exited = right and first == 2
        elif not right:
            self.first[slot] = target
        elif first != target:
            return self.p["other_target"]
        return 0

    def follow(self, kind: int, pc: int, after: int, target: int, right: bool) -> None:
        cost = 0
        if kind in (Branch.CONDITIONAL, Branch.INDIRECT, Branch.INDIRECT_CALL):
            cost = self.second_thought(kind, pc, after, target, right)
        if target == after and kind in (Branch.CONDITIONAL, Branch.CALL):
            return
        extra, cost = cost, self.p["taken"]
        if kind in (Branch.CALL, Branch.INDIRECT_CALL):
            cost, self.shadow = self.p["call"], self.p["call_shadow"]
        elif kind == Branch.RETURN:
            cost, self.shadow = self.p["return"], self.p["return_shadow"]
        elif kind != Branch.INDIRECT:
            extra += self.p["loop_exit"] if self.exited else 0
            if (target > pc or kind == Branch.JUMP) and self.p["return_shadow"]:
                cost, self.shadow = 0 if self.shadow else cost, 1 - self.shadow
        self.exited = False
        self.predicted = max(self.predicted, self.dispatch - self.p["fetch_ahead"]) + self.p["taken"] + extra
        self.fetch = max(self.fetch + cost + extra, self.predicted)
        self.window_start = target
        if self.p["taken_ends_delivery"]:
            self.fetch_slots = self.p["fetch_width"]
        slot = (pc ^ pc >> 12) % w.BTB
        if self.btb.get(slot, 0) != pc:
            self.btb[slot] = pc
            if right and kind in (Branch.CALL, Branch.JUMP, Branch.CONDITIONAL):
                self.fetch_later(self.fetch + self.p["btb_miss"])
        self.open_window(target)
        if target // 64 != self.line:
            self.fetch_line(target // 64)

    # --- dispatch and retirement
    def dispatched(self, fetched: int, slots: int, loads: int, stores: int) -> int:
        p = self.p
        cycle = max(self.dispatch, fetched, self.block)
        entry = len(self.retired_at) + slots - p["rob"]
        cycle = max(cycle, self.retired_at[entry - 1] if entry > 0 else 0)
        place = len(self.commits_at) + 1 - p["store_queue"]
        cycle = max(cycle, self.commits_at[place - 1] if stores and place > 0 else 0)
        place = len(self.loads_at) + 1 - p["load_queue"]
        cycle = max(cycle, self.loads_at[place - 1] if loads and place > 0 else 0)
        if cycle > self.dispatch:
            self.slots = self.stores_in = 0
        full = stores and p["store_width"] and self.stores_in >= p["store_width"]
        if full or (slots and self.slots + (2 if slots > 1 and p["dispatches_pairs"] else 1) > p["width"]):
            cycle, self.slots, self.stores_in = cycle + 1, 0, 0
        self.stores_in += 1 if stores else 0
        self.dispatch, used = cycle, self.slots + slots
        while used > p["width"]:
            self.dispatch, used = self.dispatch + 1, used - p["width"]
        self.slots = used
        return cycle

    def retires(self, complete: int, slots: int) -> int:
        cycle = max(self.retire, complete)
        if cycle > self.retire:
            self.retire_count = 0
        elif self.retire_count >= self.p["retire_width"]:
            cycle, self.retire_count = cycle + 1, 0
        self.retire_count += slots
        self.retire = self.clock = cycle
        self.retired_at += [cycle] * slots
        return cycle

    # --- memory
    def load(
        self, address: int, size: int, issue: int, earliest: int, extra: int, later: int, flags: int
    ) -> int:
        p = self.p
        found: Store | None = None
        for granule in range(address // 8, (address + size - 1) // 8 + 1):
            store = self.stores.get(granule % w.STORES)
            if (
                store
                and store.address < address + size
                and address < store.address + store.size
                and store.commit > issue
            ) and (found is None or store.number > found.number):
                found = store
        if found:
            if address < found.address or address + size > found.address + found.size:
                if flags & w.F_PAIR and not p["forward_pair"]:
                    return max(issue, found.commit) + p["load_latency"] + extra
                retired = found.commit - p["commit_delay"] if p["forward_fail_retired"] else 0
                return max(issue, found.ready, found.older, retired) + p["forward_fail"]
            if len(self.retired_at) - found.slot <= p["forward_near"]:
                self.share += 1 << 12
            same = found.size == size or (p["forward_contained_renamed"] and size >= 4)
            known = found.number > len(self.commits_at) - p["rename_depth"] and found.renames
            if (
                flags & w.F_RENAMES
                and same
                and known
                and found.address == address
                and p["forward_renamed"] >= 0
            ):
                checked = max(issue, found.ready) + p["store_latency"] + p["forward"]
                self.all_done = max(self.all_done, checked)
                return max(earliest, found.ready) + p["forward_renamed"]
            return max(issue, found.ready) + p["forward"] + extra + later
        near = len(self.retired_at) - p["forward_near"]
        alike = [s for key, s in self.stores.items() if (key - address // 8) % (w.STORES // 2) == 0]
        if not found and any(s.slot >= near for s in alike):
            self.share += 1 << 12
        beyond = self.reach(address)
        if address % 64 + size > 64:
            beyond = max(beyond + p["cross_line"], self.reach(address // 64 * 64 + 64))
        return issue + p["load_latency"] + extra + beyond

    def store(self, address: int, size: int, ready: int, retire: int, renames: bool, pairs: bool) -> None:
        p = self.p
        beyond, line = self.reach(address), address >> p["commit_block_bits"]
        commit = max(self.commit, retire + p["commit_delay"])
        if commit == self.commit:
            limit = (
                p["commit_forwarded"]
                if self.share >= p["forward_share"] and not pairs
                else p["commit_same_line"]
            )
            together = line == self.commit_line or self.commit_run > 1
            if together and size <= 8 and self.commit_count < limit:
                self.commit_count += 1
            else:
                commit, self.commit_count = commit + 1, 1
        else:
            self.commit_count = 1
        self.commit_run = self.commit_run + 1 if line == self.commit_line else 1
        commit += (p["split_store"] if address % 64 + size > 64 else 0) + beyond
        self.commit, self.commit_line = commit, line
        self.share -= self.share >> 4
        self.commits_at.append(commit)
        for granule in range(address // 8, (address + size - 1) // 8 + 1):
            before = self.stores.get(granule % w.STORES)
            older = 0
            if size < 8 and (before.address if before else 0) // 8 == granule:
                older = max(before.ready, before.older) if before else 0
            self.stores[granule % w.STORES] = Store(
                address, size, ready, commit, len(self.commits_at), renames, older, len(self.retired_at)
            )

    def repeat(self, load: int, store: int, size: int, more: bool) -> int:
        if load != NO or store != NO:
            self.repeat_bytes += size
            for address in (load, store):
                if address != NO and address % 64 < size:
                    self.repeat_start += self.reach(address)
        done = self.repeat_start
        if self.repeat_bytes > self.p["rep_short_bytes"]:
            done += self.p["rep_long"] + self.repeat_bytes // self.p["rep_bytes_per_cycle"]
        self.block, self.all_done = max(self.block, done), max(self.all_done, done)
        if more:
            return self.clock
        self.repeating = NO
        return self.retires(done, 0)

    # --- one instruction
    def step(self, row: list[int], pc: int, target: int, load: int, store: int, detail: int) -> int:
        p, flags, kind = self.p, row[w.R_FLAGS], row[w.R_BRANCH]
        after, slots = pc + row[w.R_LENGTH], row[w.R_SLOTS]
        loads = row[w.R_LOADS] if load != NO else 0
        stores = row[w.R_STORES] if store != NO else 0
        if row[w.R_DETAIL] == Detail.COUNT and self.repeating == pc:
            return self.repeat(load, store, max(row[w.R_LOAD_SIZE], row[w.R_STORE_SIZE]), target == pc)
        if flags & w.F_NOP and p["fuses_nops"]:
            slots, self.nop_open = (0 if self.nop_open else slots), not self.nop_open
        else:
            self.nop_open = p["fuses_nops"] > 1 and not kind
        fused = bool(flags & w.F_FUSES and self.head[0] == pc and p["fuses_branches"])
        slots = 0 if fused else slots
        entered = self.dispatched(
            self.fetched(pc, row[w.R_LENGTH], slots, bool(flags & w.F_MICROCODED)),
            slots,
            loads,
            stores or flags & w.F_STORE_BARRIER,
        )
        earliest = entered + p["issue_delay"]

        def latest(first: int, count: int) -> int:
            names = [name for name in row[first : first + count] if name != NO]
            return max((self.registers.get(name, 0) for name in names), default=0)

        if flags & w.F_STACK:
            self.stack_moved = bool(p["stack_engine"])
        elif flags & w.F_USES_STACK and self.stack_moved:
            self.stack_moved = False
            self.registers[4] = max(self.registers.get(4, 0), earliest) + 1
        sources = latest(w.R_SOURCE0, 6)
        ready = earliest if flags & w.F_ZERO else max(earliest, sources)
        address_ready = latest(w.R_LOAD_ADDRESS0, 2)
        if flags & w.F_TWO_STEPS:
            ready = max(ready, self.take(row[w.R_PORTS], max(earliest, address_ready), 1) + 1)
        lock_start = 0
        if flags & w.F_LOCK:
            lock_start = max(earliest, self.lock_done, address_ready)
            lock_start = max(lock_start, self.loads_done if p["lock_waits_for_older"] else 0)
            ready = max(ready, lock_start)
        if loads:
            base = row[w.R_LOAD_ADDRESS0]
            if self.registers.get(base, 0) == self.loaded.get(base, 0):
                sooner = self.registers.get(base, 0) - p["load_to_address"]
                address_ready = max(sooner, latest(w.R_LOAD_ADDRESS1, 1))
            start, ports = max(earliest, address_ready, self.barrier, lock_start), p["load_ports"]
            if flags & w.F_RMW and p["rmw_one_agu"]:
                ports &= p["store_ports"]
            if flags & w.F_VECTOR:
                ports &= p["vector_loads"]
            issue = self.take(ports, start, 1)
            if load % 64 + row[w.R_LOAD_SIZE] > 64:
                self.take(ports, issue, 1)
            for _ in range(loads - 1):
                issue = max(issue, self.take(ports, start, 1))
            extra = row[w.R_LOAD_EXTRA] + (p["vector_load_extra"] if flags & w.F_VECTOR else 0)
            later = p["forward_operand"] if row[w.R_UOPS] and not flags & (w.F_RMW | w.F_STACK) else 0
            size = row[w.R_LOAD_SIZE]
            done = self.load(load, size, issue, earliest, extra, later, flags)
            self.loads_at.append(done)
            self.loads_done = max(self.loads_done, done)
            if flags & w.F_ACQUIRE:
                self.barrier = max(self.barrier, done)
            ready = max(ready, done)
        complete = issue = ready
        latency, keep = row[w.R_LATENCY], row[w.R_BUSY]
        if row[w.R_DETAIL] == Detail.QUOTIENT_BITS:
            bits = detail if detail >= 0 else p["div_bits_unknown"]
            more = max(bits - p["div_bits_free"], 0) // p["div_bits_per_cycle"]
            latency, keep = latency + more, keep + max(more - p["div_overlap"], 0)
        if fused:
            self.busy[self.head[1]] = self.busy.get(self.head[1], 0) & ~self.head[2]
            issue = self.take(p["fused_ports"], self.head[3], 1)
            complete = issue + 1
        elif flags & w.F_ZERO:
            complete = earliest
        elif flags & w.F_MOVE and p["eliminates_moves"]:
            pass
        elif row[w.R_UOPS]:
            issue = self.take(row[w.R_PORTS], ready, keep)
            for _ in range(row[w.R_UOPS] - 1):
                self.take(row[w.R_PORTS], ready, 1)
            complete = issue + latency
        if kind and p["branch_slots"]:
            complete = max(complete, self.take(p["branch_slots"], issue, 1) + 1)
        self.head = (after, issue, self.port, ready) if flags & w.F_FUSION_HEAD else (NO, 0, 0, 0)
        if flags & w.F_LOCK:
            moved = self.lock_address != load and p["lock_moved"]
            complete = max(complete, lock_start + max(row[w.R_LOCK], moved))
            self.lock_address = load
            self.lock_done = complete
            self.barrier = max(self.barrier, lock_start + p["load_after_lock"])
        for name, extra in zip(row[w.R_DEST0 : w.R_DEST0 + 4], row[w.R_EXTRA0 : w.R_EXTRA0 + 4], strict=True):
            if name == NO:
                break
            self.registers[name] = complete + extra
        if flags & w.F_RENAMES and not row[w.R_UOPS]:
            self.loaded[row[w.R_DEST0]] = complete
        if row[w.R_WRITEBACK] != NO:
            self.registers[row[w.R_WRITEBACK]] = max(earliest, latest(w.R_LOAD_ADDRESS0, 2)) + 1
        finished, data = complete, complete
        if stores:
            start = max(earliest, latest(w.R_STORE_ADDRESS0, 2))
            if not (flags & w.F_RMW and p["rmw_one_agu"]):
                for _ in range(stores):
                    start = self.take(p["store_ports"], start, 1)
            data = sources if flags & w.F_STORE_DATA_ONLY else complete
            if p["store_data_ports"]:
                data = self.take(p["store_data_ports"], max(data, earliest), 1)
            finished = max(complete, start + p["store_latency"], data)
        right = not kind or (kind != Branch.OTHER and self.predict(kind, pc, after, target))
        if flags & w.F_DRAIN:
            drained = max(self.all_done, entered, self.commit if flags & w.F_DRAIN_STORES else 0)
            self.block, finished = max(self.block, drained + row[w.R_DRAIN]), max(finished, drained)
        if row[w.R_BLOCK]:
            self.block = max(self.block, entered + row[w.R_BLOCK])
            if row[w.R_BLOCK_DATA]:
                self.block = max(self.block, ready + row[w.R_BLOCK_DATA])
        if row[w.R_DETAIL] == Detail.COUNT:
            self.repeating, self.repeat_bytes, self.repeat_start = pc, 0, entered + row[w.R_BLOCK]
        if flags & w.F_LOAD_BARRIER:
            self.barrier = max(self.barrier, self.loads_done)
        if flags & w.F_SERIAL:
            self.fetch_later(max(self.all_done, finished) + p["serialise"])
        self.all_done = max(self.all_done, finished)
        clock = self.retires(finished, slots)
        if stores:
            pairs = bool(flags & w.F_RMW) or kind in (Branch.CALL, Branch.INDIRECT_CALL)
            self.store(store, row[w.R_STORE_SIZE], data, clock, not flags & w.F_KEEPS_STORE, pairs)
        if flags & w.F_STORE_BARRIER:
            odd = self.commit >= clock and self.commit_count == 1 and self.commit_run > 1
            self.commit = max(self.commit, clock) + (0 if odd else 1)
            self.commit_line, self.commit_count, self.commit_run = NO, 1, 0
            self.commits_at.append(self.commit)
        if kind:
            self.follow(kind, pc, after, target, right)
            if not right:
                self.mispredicts += 1
                penalty = p["mispredict_return" if kind == Branch.RETURN else "mispredict"]
                self.fetch_later(complete + penalty)
        return clock
