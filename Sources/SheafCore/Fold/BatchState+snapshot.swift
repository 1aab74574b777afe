import BitCollections

extension BatchState {
    private static let version: UInt8 = 2

    /// The state as bytes, for a checkpoint: runs of tasks that stand alike, then the rare things, then a checksum.
    ///
    /// A byte for each run of up to 31 tasks, so a few bytes for most batches and at worst about a byte for two tasks.
    public var snapshot: [UInt8] {
        var writer = SnapshotWriter()
        writer.byte(Self.version)
        writer.number(published)
        writer.number(sealedTotal.map { $0 + 1 } ?? 0)
        writer.number(startedAt.map { Int($0.milliseconds) + 1 } ?? 0)
        writer.runs(upTo: max(low.max() ?? -1, high.max() ?? -1) + 1) { index in
            (low.contains(index) ? 1 : 0) + (high.contains(index) ? 2 : 0)
        }
        writer.list(generations.sorted { $0.key < $1.key }) { $0.numbers($1.key, $1.value) }
        writer.list(early.values.sorted { $0.index < $1.index }) { writer, outcome in
            writer.numbers(outcome.index, outcome.generation)
            writer.byte(outcome.status == .succeeded ? 1 : outcome.isInvalidRecord ? 3 : 2)
            writer.usage(outcome.usage)
        }
        writer.list(reopened.sorted { $0.key < $1.key }) { writer, entry in
            writer.number(entry.key)
            writer.list(entry.value.sorted { $0.key < $1.key }) { writer, list in
                writer.text(list.key)
                writer.runs(upTo: (list.value.max() ?? -1) + 1) { list.value.contains($0) ? 1 : 0 }
            }
        }
        writer.list(committed.sorted { $0.key < $1.key }) { writer, entry in
            writer.number(entry.key)
            writer.text(entry.value)
        }
        writer.list(leases.values.sorted { $0.index < $1.index }) { writer, lease in
            writer.numbers(lease.index, lease.generation)
            writer.text(lease.id)
            writer.text(lease.worker)
            writer.number(Int(lease.offset))
        }
        writer.usage(usage)
        return writer.finished
    }

    /// Reads a state from bytes; nil where they are not a whole snapshot of this version.
    public init?(snapshot: [UInt8]) {
        guard var reader = SnapshotReader(snapshot), reader.byte() == Self.version else { return nil }
        self.init()
        published = reader.number(below: Self.maximumTasks + 1)
        let total = reader.number(below: Self.maximumTasks + 2)
        sealedTotal = total > 0 ? total - 1 : nil
        let started = reader.number(below: Int.max)
        startedAt = started > 0 ? Timestamp(milliseconds: Int64(started - 1)) : nil
        reader.runs { range, state in
            if state & 1 != 0 { low.insert(all: range) }
            if state & 2 != 0 { high.insert(all: range) }
        }
        reader.list { reader in
            let index = reader.index()
            generations[index] = reader.number(below: Self.maximumTasks)
        }
        reader.list { reader in
            let (index, generation) = (reader.index(), reader.number(below: Self.maximumTasks))
            let code = reader.byte()
            early[index] = OutcomeSummary(
                index: index,
                generation: generation,
                status: code == 1 ? .succeeded : .failed,
                isInvalidRecord: code == 3,
                usage: reader.usage()
            )
        }
        reader.list { reader in
            let generation = reader.number(below: Self.maximumTasks)
            var lists: [String: BitSet] = [:]
            reader.list { reader in
                let nonce = reader.text()
                var tasks = BitSet()
                reader.runs { range, state in if state & 1 != 0 { tasks.insert(all: range) } }
                lists[nonce] = tasks
            }
            reopened[generation] = lists
        }
        reader.list { reader in
            let generation = reader.number(below: Self.maximumTasks)
            committed[generation] = reader.text()
        }
        reader.list { reader in
            let (index, generation) = (reader.index(), reader.number(below: Self.maximumTasks))
            let (id, worker) = (reader.text(), reader.text())
            let offset = Int64(reader.number(below: Int.max))
            leases[index] = TaskLease(id: id, index: index, generation: generation, worker: worker, offset: offset)
        }
        usage = reader.usage()
        guard reader.isWhole else { return nil }
    }
}

extension BitSet {
    /// Adds a run of numbers; joining sets costs as much as the larger of them, which only long runs are worth.
    mutating func insert(all range: Range<Int>) {
        if range.count > 1 << 14 {
            formUnion(BitSet(range))
        } else {
            for number in range { insert(number) }
        }
    }
}
