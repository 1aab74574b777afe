import SheafCore
import Synchronization
package import Tracing

/// A tracer whose spans go to a ``SpanExporter``.
///
/// It records a span unless the span's parent is not recorded; who begins a trace decides for all of it.
package struct OTLPTracer: Tracer {
    private let exporter: SpanExporter

    /// Creates a tracer.
    package init(exporter: SpanExporter) { self.exporter = exporter }

    package func startSpan<Instant: TracerInstant>(
        _ operationName: String,
        context: @autoclosure () -> InstrumentationContext,
        ofKind kind: SpanKind,
        at instant: @autoclosure () -> Instant,
        function: String,
        file fileID: String,
        line: UInt
    ) -> OTLPSpan {
        let context = context()
        let parent = context[TraceContextKey.self]
        let random = UInt64.random(in: 1...UInt64.max)
        let place = TraceContext(
            trace: parent?.trace ?? (UInt64.random(in: 1...UInt64.max), random),
            span: UInt64.random(in: 1...UInt64.max),
            isSampled: parent?.isSampled ?? true,
            traceState: parent?.traceState
        )
        let start = instant().nanosecondsSinceEpoch
        let span = FinishedSpan(context: place, parent: parent?.span, name: operationName, kind: kind, start: start)
        return OTLPSpan(span, in: context, exporter)
    }

    package func forceFlush() {}

    package func extract<Carrier, Extract: Extractor>(
        _ carrier: Carrier,
        into context: inout InstrumentationContext,
        using extractor: Extract
    ) where Extract.Carrier == Carrier {
        guard let parent = extractor.extract(key: TraceContext.parentHeader, from: carrier) else { return }
        let state = extractor.extract(key: TraceContext.stateHeader, from: carrier)
        context[TraceContextKey.self] = TraceContext(traceParent: parent, traceState: state)
    }

    package func inject<Carrier, Inject: Injector>(
        _ context: InstrumentationContext,
        into carrier: inout Carrier,
        using injector: Inject
    ) where Inject.Carrier == Carrier {
        for (name, value) in context[TraceContextKey.self]?.headers ?? [] {
            injector.inject(value, forKey: name, into: &carrier)
        }
    }
}

private enum TraceContextKey: InstrumentationContextKey {
    typealias Value = TraceContext
}

/// A span of an ``OTLPTracer``.
package final class OTLPSpan: Tracing.Span {
    package let context: InstrumentationContext
    package let isRecording: Bool
    private let exporter: SpanExporter
    /// The span, or nil after it has ended.
    private let contents: Mutex<FinishedSpan?>

    fileprivate init(_ span: FinishedSpan, in context: InstrumentationContext, _ exporter: SpanExporter) {
        var context = context
        context[TraceContextKey.self] = span.context
        self.context = context
        self.exporter = exporter
        isRecording = span.context.isSampled
        contents = Mutex(span.context.isSampled ? span : nil)
    }

    package var operationName: String {
        get { contents.withLock { $0?.name ?? "" } }
        set { contents.withLock { $0?.name = newValue } }
    }

    package var attributes: SpanAttributes {
        get { contents.withLock { $0?.attributes ?? [:] } }
        set { contents.withLock { $0?.attributes = newValue } }
    }

    package func setStatus(_ status: SpanStatus) { contents.withLock { $0?.status = status } }

    package func addEvent(_ event: SpanEvent) {
        contents.withLock { span in
            if (span?.events.count ?? 0) < FinishedSpan.maximumItems { span?.events.append(event) }
        }
    }

    package func recordError<Instant: TracerInstant>(
        _ error: any Error,
        attributes: SpanAttributes,
        at instant: @autoclosure () -> Instant
    ) {
        var event = SpanEvent(name: "exception", at: instant(), attributes: attributes)
        event.attributes["exception.type"] = String(describing: type(of: error))
        event.attributes["exception.message"] = String(describing: error)
        addEvent(event)
    }

    package func addLink(_ link: SpanLink) {
        guard let target = link.context[TraceContextKey.self] else { return }
        contents.withLock { span in
            if (span?.links.count ?? 0) < FinishedSpan.maximumItems { span?.links.append((target, link.attributes)) }
        }
    }

    package func end<Instant: TracerInstant>(at instant: @autoclosure () -> Instant) {
        let end = instant().nanosecondsSinceEpoch
        let ended = contents.withLock { contents in
            let span = contents
            contents = nil
            return span
        }
        guard var ended else { return }
        ended.end = max(ended.start, end)
        exporter.add(ended)
    }
}
