package import SheafBatches
package import SheafCore
package import Tracing

/// Decides which batches are traced, and records their creation.
package struct BatchTraces: Sendable {
    private let tracer: any Tracer
    private let share: Double
    private let system: String

    /// Creates a recorder.
    ///
    /// - Parameters:
    ///   - tracer: The tracer that makes the spans.
    ///   - share: The share of batches that are traced, from 0 to 1.
    ///   - system: The messaging system, `rabbitmq` or `sheaf`.
    package init(tracer: any Tracer, share: Double, system: String) {
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
        let parent = plan.trace
        guard parent?.isSampled ?? Self.isSampled(id, share: share) else { return try await body(plan) }
        let span: any Span = tracer.startSpan(
            "publish sheaf.tasks.\(plan.flow)",
            context: parent.map { Carrier.context(of: $0, tracer) } ?? .topLevel,
            ofKind: .producer
        )
        span.attributes = [
            "messaging.system": .string(system), "messaging.operation.name": "publish",
            "messaging.operation.type": "send", "messaging.destination.template": "sheaf.tasks.\(plan.flow)",
            "messaging.destination.name": "sheaf.tasks.\(plan.flow).\(id).0",
            "messaging.message.conversation_id": .string(id.text), "sheaf.flow": .string(plan.flow.text),
            "sheaf.batch.id": .string(id.text),
        ]
        plan.trace = Carrier.trace(of: span.context, tracer) ?? parent
        defer { span.end() }
        do {
            let created = try await body(plan)
            span.attributes["messaging.batch.message_count"] = created.total
            return created
        } catch {
            span.attributes["error.type"] = String(describing: type(of: error))
            span.setStatus(SpanStatus(code: .error, message: "\(error)"))
            throw error
        }
    }
}
