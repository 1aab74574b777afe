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
        /// The tasks that are not published, because their record is identical to an earlier one.
        var twins: [Twin] = []
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
    /// Finds identical records; nil if each record runs.
    private var finder: TwinFinder?
    /// How many tasks of the items so far are no twins.
    private var distinct: Int
    private let worker = processName

    /// - Parameter position: How many tasks of the batch, without twins, are published before.
    init(
        flow: Name,
        batch: Name,
        variants: ParameterVariants,
        pilot: Pilot? = nil,
        trace: TraceContext? = nil,
        finder: TwinFinder? = nil,
        startingAt position: Int = 0
    ) {
        self.flow = flow
        self.batch = batch
        self.variants = variants
        self.pilot = pilot
        self.trace = trace
        self.finder = finder
        self.distinct = position
    }

    /// How many tasks are twins, of all items that the finder has seen.
    var twins: Int { (finder?.count ?? 0) * variants.variants.count }

    /// Converts items.
    mutating func build(_ items: some Sequence<SourceItem>) -> Built {
        var built = Built()
        for item in items {
            let first = item.index * variants.variants.count
            let problem = Self.problem(of: item)
            built.count += variants.variants.count
            if problem == nil, case .record(let record) = item.content,
                let other = finder?.first(of: record, number: item.index)
            {
                for offset in variants.variants.indices {
                    let twin = Twin(
                        index: first + offset,
                        first: other * variants.variants.count + offset,
                        recordID: record.id
                    )
                    built.twins.append(twin)
                }
                continue
            }
            // How many tasks of the item are of the pilot.
            let share = pilot.map { min(max(0, $0.tasks - distinct), variants.variants.count) }
            if let share { built.pilot += first..<first + share }
            distinct += variants.variants.count
            switch problem {
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

    /// Notes items that were published before, so that later ones can be their twins.
    static func note(_ items: some Sequence<SourceItem>, in finder: inout TwinFinder?) {
        guard finder != nil else { return }
        for item in items {
            if case .record(let record) = item.content, problem(of: item) == nil {
                _ = finder?.first(of: record, number: item.index)
            }
        }
    }

    /// Why an item cannot become a task, or nil if it can.
    private static func problem(of item: SourceItem) -> String? {
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
