import OrderedCollections
import SheafCore

extension FlowDefinition {
    /// Runs one attempt and never throws: with the default parameters under those of the task, within the time-out.
    ///
    /// Where the time-out passes or the calling task is cancelled, the flow is cancelled and waited for. Any error that
    /// is no ``FlowError`` becomes one with the name of its type.
    ///
    /// - Parameters:
    ///   - task: What to work on.
    ///   - clock: Measures the time-out.
    /// - Returns: The output, what the service said that wants to be left alone, that the calling task was cancelled, or the
    ///   error: `timeout` (another attempt may succeed), or the flow's own.
    @concurrent
    public func attempt(
        _ task: FlowTask,
        clock: any Clock<Duration> = ContinuousClock()
    ) async -> AttemptResult {
        var task = completed(task)
        let result: AttemptResult?
        if let timeout {
            task.deadline = .now + timeout
            result = await perform(task, within: timeout, clock)
        } else {
            result = await perform(task)
        }
        return result ?? overdue
    }

    /// The result of an attempt that took too long.
    var overdue: AttemptResult {
        let message = "ran longer than \(timeout?.briefly ?? "allowed")"
        return .failure(FlowError(type: "timeout", message: message, isRetryable: true))
    }

    /// The task with the default parameters under its own.
    func completed(_ task: FlowTask) -> FlowTask {
        var task = task
        task.parameters = Self.laying(task.parameters, over: parameters)
        return task
    }

    /// Runs the flow; nil where the time passed.
    private func perform(
        _ task: FlowTask,
        within timeout: Duration,
        _ clock: any Clock<Duration>
    ) async -> AttemptResult? {
        await withTaskGroup(of: AttemptResult?.self) { group in
            group.addTask { await self.perform(task) }
            group.addTask {
                // Sleeping ends early when the flow is done or the caller is cancelled; the flow's answer counts then.
                try? await clock.sleep(for: timeout)
                return nil
            }
            var first = await group.next() ?? nil
            if first == nil, Task.isCancelled { first = await group.next() ?? nil }
            group.cancelAll()
            return first
        }
    }

    private func perform(_ task: FlowTask) async -> AttemptResult {
        do {
            return .success(try await flow.run(task))
        } catch {
            return AttemptResult(failure: error)
        }
    }

    private static func laying(_ values: JSONValue, over defaults: JSONValue) -> JSONValue {
        guard let defaults = defaults.objectValue else { return values }
        guard let values = values.objectValue, !values.isEmpty else { return .object(defaults) }
        if defaults.isEmpty { return .object(values) }
        return .object(defaults.merging(values) { $1 })
    }
}

extension AttemptResult {
    /// What an error of a flow means, where the calling task is the flow's own.
    init(failure error: any Error) {
        if Task.isCancelled {
            self = .cancelled
        } else if let throttle = error as? FlowThrottle {
            self = .throttled(throttle)
        } else {
            self = .failure(error as? FlowError ?? FlowError(wrapping: error))
        }
    }

    /// What a flow says of a task.
    init(_ result: Result<FlowOutput, FlowError>) {
        switch result {
        case .success(let output): self = .success(output)
        case .failure(let error): self = .failure(error)
        }
    }
}

extension FlowError {
    /// How much of the description of a foreign error is kept.
    private static let maximumDescription = 4 << 10

    /// Makes an error from any other.
    init(wrapping error: any Error) {
        let description = String(describing: error)
        let isLong = description.utf8.count > Self.maximumDescription
        self.init(
            type: String(describing: Swift.type(of: error)),
            message: isLong ? "\(description.prefix(Self.maximumDescription))…" : description
        )
    }
}

extension Duration {
    /// The duration in seconds, or in milliseconds where it is not a whole number of them.
    fileprivate var briefly: String {
        let (seconds, attoseconds) = components
        return attoseconds == 0 ? "\(seconds) s" : "\(seconds * 1000 + attoseconds / 1_000_000_000_000_000) ms"
    }
}
