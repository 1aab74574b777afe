package import SheafBatches
package import SheafCore
package import Tracing

/// Decides which batches are traced, and records the publishing of their tasks.
package struct BatchTraces: Sendable {
    private let tracer: (any Tracer)?
    private let share: Double
    private let system: String

    /// Records nothing; tasks carry the context that they are given.
    package static let off = BatchTraces(tracer: nil, share: 0, system: "")

    /// Creates a recorder.
    ///
    /// - Parameters:
    ///   - tracer: The tracer that makes the spans.
    ///   - share: The share of batches that are traced, from 0 to 1.
    ///   - system: The messaging system, `rabbitmq` or `sheaf`.
    package init(tracer: any Tracer, share: Double, system: String) {
        self.init(tracer: tracer as (any Tracer)?, share: share, system: system)
    }

    private init(tracer: (any Tracer)?, share: Double, system: String) {
        self.tracer = tracer
        self.share = share
        self.system = system
    }

    /// Whether a batch is traced; every process with the same share decides the same.
    package static func isSampled(_ batch: Name, share: Double) -> Bool {
        // FNV-1a, and the last step of SplitMix64, because the ids of batches differ little.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in batch.text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        hash = (hash ^ hash >> 30) &* 0xbf58_476d_1ce4_e5b9
        hash = (hash ^ hash >> 27) &* 0x94d0_49bb_1331_11eb
        hash ^= hash >> 31
        return Double(hash >> 11) / Double(1 << 53) < share
    }

    /// Records the creation of a batch: its tasks carry the context of the span.
    ///
    /// - Parameters:
    ///   - plan: The plan; it is given an id, and the context for its tasks. The context that it has is that of the
    ///     creation, and decides whether the batch is traced.
    ///   - body: Creates the batch.
    package func recording(
        _ plan: BatchPlan,
        _ body: (BatchPlan) async throws -> CreatedBatch
    ) async throws -> CreatedBatch {
        var plan = plan
        var generator = SystemRandomNumberGenerator()
        let id = plan.id ?? Name.newBatch(at: .now, using: &generator)
        plan.id = id
        let published: (CreatedBatch) -> (Int, Int) = { ($0.total, 0) }
        return try await recording(id, of: plan.flow, after: plan.trace, published: published) { [plan] trace in
            var plan = plan
            plan.trace = trace
            return try await body(plan)
        }
    }

    /// Records that the rest of a batch is published: its tasks carry the context of the span.
    ///
    /// - Parameters:
    ///   - batch: The batch.
    ///   - parent: The context in which this was asked for, or nil; it decides whether the span is recorded, and
    ///     without it the id of the batch does.
    ///   - body: Publishes the tasks with a context.
    package func recordingRest(
        of batch: BatchInfo,
        after parent: TraceContext?,
        _ body: (TraceContext?) async throws -> CreatedBatch
    ) async throws -> CreatedBatch {
        let published: (CreatedBatch) -> (Int, Int) = { ($0.total - ($0.resumedAt ?? 0), 0) }
        return try await recording(batch.id, of: batch.flow, after: parent, published: published, body)
    }

    /// Records that tasks of a batch are published again: they carry the context of the span.
    ///
    /// - Parameters:
    ///   - batch: The batch.
    ///   - parent: The context in which this was asked for, or nil; it decides whether the span is recorded, and
    ///     without it the id of the batch does.
    ///   - body: Publishes the tasks with a context.
    package func recordingRetry(
        of batch: BatchInfo,
        after parent: TraceContext?,
        _ body: (TraceContext?) async throws -> RetryReport
    ) async throws -> RetryReport {
        let published: (RetryReport) -> (Int, Int) = { ($0.retried, $0.generation) }
        return try await recording(batch.id, of: batch.flow, after: parent, published: published, body)
    }

    /// Records a span while the body publishes tasks with its context, if the span is to be recorded.
    private func recording<Result>(
        _ batch: Name,
        of flow: Name,
        after parent: TraceContext?,
        published: (Result) -> (Int, Int),
        _ body: (TraceContext?) async throws -> Result
    ) async throws -> Result {
        guard let tracer, parent?.isSampled ?? Self.isSampled(batch, share: share) else {
            return try await body(parent)
        }
        let span: any Span = tracer.startSpan(
            "publish sheaf.tasks.\(flow)",
            context: parent.map { Carrier.context(of: $0, tracer) } ?? .topLevel,
            ofKind: .producer
        )
        span.attributes = [
            "messaging.system": .string(system), "messaging.operation.name": "publish",
            "messaging.operation.type": "send", "messaging.destination.template": "sheaf.tasks.\(flow)",
            "messaging.message.conversation_id": .string(batch.text), "sheaf.flow": .string(flow.text),
            "sheaf.batch.id": .string(batch.text),
        ]
        defer { span.end() }
        do {
            let result = try await body(Carrier.trace(of: span.context, tracer) ?? parent)
            let (count, generation) = published(result)
            span.attributes["messaging.destination.name"] = "sheaf.tasks.\(flow).\(batch).\(generation)"
            span.attributes["messaging.batch.message_count"] = count
            return result
        } catch {
            span.attributes["error.type"] = String(describing: type(of: error))
            span.setStatus(SpanStatus(code: .error, message: "\(error)"))
            throw error
        }
    }
}
