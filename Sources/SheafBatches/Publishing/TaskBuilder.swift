import SheafCore
import SheafSources

/// Converts items of an input to messages of a batch.
struct TaskBuilder: Sendable {
    /// The messages for some items.
    struct Built: Sendable {
        /// Tasks to publish.
        var tasks: [Message] = []
        /// Tasks that wait until the pilot is over.
        var rest: [Message] = []
        /// The indices of the tasks of the pilot, including those without a readable record.
        var pilot: [Int] = []
        /// Lines of outcomes for items that are not records.
        var outcomes: [UInt8] = []
        /// How many tasks have no readable record.
        var invalid = 0
        /// How many task numbers of the batch this covers.
        var count = 0
    }

    let flow: Name
    let batch: Name
    let variants: ParameterVariants
    private let pilot: Pilot?
    private let trace: TraceContext?
    private let worker = processName

    init(flow: Name, batch: Name, variants: ParameterVariants, pilot: Pilot? = nil, trace: TraceContext? = nil) {
        self.flow = flow
        self.batch = batch
        self.variants = variants
        self.pilot = pilot
        self.trace = trace
    }

    /// Converts items; `position` is how many tasks are published before them.
    func build(_ items: some Sequence<SourceItem>, startingAt position: Int = 0) -> Built {
        var built = Built()
        for item in items {
            let first = item.index * variants.variants.count
            // How many tasks of the item are of the pilot.
            let share = pilot.map { min(max(0, $0.tasks - position - built.count), variants.variants.count) }
            if let share { built.pilot += first..<first + share }
            built.count += variants.variants.count
            switch problem(of: item) {
            case nil:
                guard case .record(let record) = item.content else { continue }
                for (offset, parameters) in variants.variants.enumerated() {
                    let task = BatchTask(
                        flow: flow,
                        batch: batch,
                        index: first + offset,
                        record: record,
                        parameters: parameters,
                        trace: trace
                    )
                    if offset < share ?? .max {
                        built.tasks.append(task.message)
                    } else {
                        built.rest.append(task.message)
                    }
                }
            case let problem?:
                built.invalid += variants.variants.count
                for offset in variants.variants.indices {
                    outcome(index: first + offset, item, problem).writeLine(to: &built.outcomes)
                }
            }
        }
        return built
    }

    /// Why an item cannot become a task, or nil if it can.
    private func problem(of item: SourceItem) -> String? {
        switch item.content {
        case .invalid(let message): message
        case .record(let record):
            if record.bytes.count > Record.maximumSize {
                "the record has \(record.bytes.count) bytes; the limit is \(Record.maximumSize)"
            } else if record.id.utf8.count > Record.maximumIDSize {
                "the record's id has \(record.id.utf8.count) bytes; the limit is \(Record.maximumIDSize)"
            } else {
                nil
            }
        }
    }

    private func outcome(index: Int, _ item: SourceItem, _ problem: String) -> Outcome {
        let now = Timestamp.now
        return Outcome(
            index: index,
            status: .failed,
            recordID: String(item.place.prefix(Record.maximumIDSize)),
            error: Outcome.Failure(type: Outcome.Failure.invalidRecord, message: "\(item.place): \(problem)"),
            attempts: 0,
            startedAt: now,
            finishedAt: now,
            worker: worker
        )
    }
}

extension Array {
    /// Splits the elements into slices of at most the given size.
    func chunks(of size: Int) -> [ArraySlice<Element>] {
        stride(from: 0, to: count, by: size).map { self[$0..<Swift.min($0 + size, count)] }
    }
}
