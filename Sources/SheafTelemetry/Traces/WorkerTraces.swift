package import SheafCore
package import SheafFlows
package import SheafWorker
import Synchronization
package import Tracing

/// Records a span for each attempt at a task of a traced batch, and passes its context on to the flow.
package final class WorkerTraces: WorkerObserver {
    /// How a span is tied to the creation of its batch.
    package enum Relation: String, Sendable, CaseIterable {
        /// Each attempt begins a trace of its own, with a link; a trace of a million spans would be of no use.
        case link
        /// Each attempt belongs to the trace of the creation.
        case parent
    }

    private struct Key: Hashable {
        let batch: Name
        let index: Int
        let generation: Int

        init(_ task: ObservedTask) { (batch, index, generation) = (task.batch, task.index, task.generation) }
    }

    /// How many spans may be open; those of tasks that were returned unfinished are never ended.
    private static let maximumOpen = 20_000

    private let tracer: any Tracer
    private let relation: Relation
    private let system: String
    private let open = Mutex<[Key: any Span]>([:])

    /// Creates an observer.
    ///
    /// - Parameters:
    ///   - tracer: The tracer that makes the spans.
    ///   - relation: How spans are tied to the creation of the batch.
    ///   - system: The messaging system, `rabbitmq` or `sheaf`.
    package init(tracer: any Tracer, relation: Relation, system: String) {
        self.tracer = tracer
        self.relation = relation
        self.system = system
    }

    /// Begins a span, and returns its place for the flow.
    package func traceContext(for task: ObservedTask) -> TraceContext? {
        guard let origin = task.trace, origin.isSampled else { return task.trace }
        let remote = Carrier.context(of: origin, tracer)
        let span: any Span = tracer.startSpan(
            "process sheaf.tasks.\(task.flow)",
            context: relation == .parent ? remote : .topLevel,
            ofKind: .consumer
        )
        if relation == .link { span.addLink(SpanLink(context: remote, attributes: [:])) }
        span.attributes = [
            "messaging.system": .string(system), "messaging.operation.name": "process",
            "messaging.operation.type": "process", "messaging.destination.template": "sheaf.tasks.\(task.flow)",
            "messaging.destination.name": "sheaf.tasks.\(task.flow).\(task.batch).\(task.generation)",
            "messaging.message.id": "\(task.batch):\(task.index)",
            "messaging.message.conversation_id": .string(task.batch.text),
            "sheaf.flow": .string(task.flow.text), "sheaf.batch.id": .string(task.batch.text),
            "sheaf.task.index": .int64(Int64(task.index)), "sheaf.attempt": .int64(Int64(task.attempt)),
        ]
        open.withLock { open in
            if open.count < Self.maximumOpen { open[Key(task)] = span }
        }
        return Carrier.trace(of: span.context, tracer) ?? origin
    }

    package func taskEnded(_ task: ObservedTask, outcome: Outcome) {
        end(task, error: outcome.error.map { ($0.type, $0.message) })
    }

    package func taskRetried(_ task: ObservedTask, error: FlowError, delay: Duration) {
        end(task, error: (error.type, error.message))
    }

    package func taskThrottled(_ task: ObservedTask, by limit: RateLimitKey, throttle: FlowThrottle) {
        end(task, error: ("throttled", throttle.message))
    }

    private func end(_ task: ObservedTask, error: (type: String, message: String)?) {
        guard task.trace != nil, let span = open.withLock({ $0.removeValue(forKey: Key(task)) }) else { return }
        if let error {
            span.attributes["error.type"] = error.type
            span.setStatus(SpanStatus(code: .error, message: error.message))
        }
        span.end()
    }
}

/// Carries a context between Sheaf and a tracer, in the headers of W3C Trace Context.
package enum Carrier {
    private struct Headers: Extractor, Injector {
        func extract(key: String, from carrier: [String: String]) -> String? { carrier[key] }
        func inject(_ value: String, forKey key: String, into carrier: inout [String: String]) { carrier[key] = value }
    }

    /// Returns the context for spans whose parent is a place.
    package static func context(of trace: TraceContext, _ tracer: any Tracer) -> InstrumentationContext {
        var context = InstrumentationContext.topLevel
        let headers = Dictionary(trace.headers.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
        tracer.extract(headers, into: &context, using: Headers())
        return context
    }

    /// Returns the place of a span.
    package static func trace(of context: InstrumentationContext, _ tracer: any Tracer) -> TraceContext? {
        var headers: [String: String] = [:]
        tracer.inject(context, into: &headers, using: Headers())
        return headers[TraceContext.parentHeader].flatMap {
            TraceContext(traceParent: $0, traceState: headers[TraceContext.stateHeader])
        }
    }
}
