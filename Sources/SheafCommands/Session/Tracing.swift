import Foundation
import Sheaf
import SheafCore
import SheafSettings
import SheafTelemetry

extension Session {
    /// Runs the body with what records traces, or with nil if the configuration has no `tracing`.
    func withTracing<Result: Sendable>(_ body: (Tracing?) async throws -> Result) async throws -> Result {
        guard let tracing = settings.tracing else { return try await body(nil) }
        let exporter = SpanExporter(
            endpoint: tracing.endpoint,
            service: ProcessInfo.processInfo.environment["OTEL_SERVICE_NAME"] ?? "sheaf",
            logger: logger
        )
        let tracer = OTLPTracer(exporter: exporter)
        return try await exporter.exporting {
            try await body(
                Tracing(
                    tracer: tracer,
                    settings: tracing,
                    system: settings.broker.scheme.hasPrefix("amqp") ? "rabbitmq" : "sheaf"
                )
            )
        }
    }

    /// Runs the body with what records the publishing of tasks.
    func tracingBatches<Result: Sendable>(_ body: (BatchTraces) async throws -> Result) async throws -> Result {
        try await withTracing { try await body($0?.batches ?? .off) }
    }

    /// The context in which this command was started, or nil.
    var traceParent: TraceContext? { TraceContext(environment: ProcessInfo.processInfo.environment) }
}

/// What records traces in a command.
struct Tracing: Sendable {
    private let tracer: OTLPTracer
    private let settings: TracingSettings
    private let system: String

    init(tracer: OTLPTracer, settings: TracingSettings, system: String) {
        self.tracer = tracer
        self.settings = settings
        self.system = system
    }

    /// Records attempts at tasks.
    var observer: any WorkerObserver {
        let relation: WorkerTraces.Relation = settings.context == .parent ? .parent : .link
        return WorkerTraces(tracer: tracer, relation: relation, system: system)
    }

    /// Records the creation of batches.
    var batches: BatchTraces { BatchTraces(tracer: tracer, share: settings.share, system: system) }
}
