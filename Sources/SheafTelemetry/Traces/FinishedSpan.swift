import SheafCore
import Tracing

/// A span that has ended.
struct FinishedSpan: Sendable {
    var context: TraceContext
    var parent: UInt64?
    var name: String
    var kind: SpanKind
    var start: UInt64
    var end: UInt64 = 0
    var attributes = SpanAttributes()
    var events: [SpanEvent] = []
    var links: [(context: TraceContext, attributes: SpanAttributes)] = []
    var status: SpanStatus?

    /// The most events and links of a span.
    static let maximumItems = 128
}

/// Encodes spans as an `ExportTraceServiceRequest` of the OpenTelemetry protocol.
///
/// Format: https://github.com/open-telemetry/opentelemetry-proto, version 1
enum OTLPRequest {
    /// Returns the body of a request.
    static func body(of spans: [FinishedSpan], resource: SpanAttributes) -> [UInt8] {
        var request = ProtobufWriter()
        request.message(1) { group in
            group.message(1) { write(resource, field: 1, to: &$0) }
            group.message(2) { scope in
                scope.message(1) {
                    $0.string(1, "sheaf")
                    $0.string(2, SheafVersion.current)
                }
                for span in spans { scope.message(2) { write(span, to: &$0) } }
            }
        }
        return request.bytes
    }

    private static func write(_ span: FinishedSpan, to writer: inout ProtobufWriter) {
        write(span.context, to: &writer)
        if let parent = span.parent { writer.data(4, bigEndian(parent)) }
        writer.string(5, span.name)
        writer.integer(6, number(of: span.kind))
        writer.fixed64(7, span.start)
        writer.fixed64(8, span.end)
        write(span.attributes, field: 9, to: &writer)
        for event in span.events {
            writer.message(11) {
                $0.fixed64(1, event.nanosecondsSinceEpoch)
                $0.string(2, event.name)
                write(event.attributes, field: 3, to: &$0)
            }
        }
        for link in span.links {
            writer.message(13) {
                write(link.context, to: &$0)
                write(link.attributes, field: 4, to: &$0)
                $0.fixed32(6, UInt32(link.context.flags))
            }
        }
        if let status = span.status {
            writer.message(15) {
                if let message = status.message { $0.string(2, message) }
                $0.integer(3, status.code == .ok ? 1 : 2)
            }
        }
        writer.fixed32(16, UInt32(span.context.flags))
    }

    /// Writes the ids and the state, whose fields have the same numbers in spans and links.
    private static func write(_ context: TraceContext, to writer: inout ProtobufWriter) {
        writer.data(1, bigEndian(context.trace.high) + bigEndian(context.trace.low))
        writer.data(2, bigEndian(context.span))
        if let state = context.traceState { writer.string(3, state) }
    }

    private static func bigEndian(_ number: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * UInt64($0))) }
    }

    private static func number(of kind: SpanKind) -> UInt64 {
        switch kind {
        case .internal: 1
        case .server: 2
        case .client: 3
        case .producer: 4
        case .consumer: 5
        }
    }

    private static func write(_ attributes: SpanAttributes, field: UInt64, to writer: inout ProtobufWriter) {
        attributes.forEach { key, value in
            writer.message(field) { pair in
                pair.string(1, key)
                pair.message(2) { write(value, to: &$0) }
            }
        }
    }

    private static func write(_ value: SpanAttribute, to writer: inout ProtobufWriter) {
        func array(_ values: [SpanAttribute]) {
            writer.message(5) { list in for value in values { list.message(1) { write(value, to: &$0) } } }
        }
        switch value {
        case .int32(let number): writer.integer(3, UInt64(bitPattern: Int64(number)))
        case .int64(let number): writer.integer(3, UInt64(bitPattern: number))
        case .double(let number): writer.fixed64(4, number.bitPattern)
        case .bool(let flag): writer.integer(2, flag ? 1 : 0)
        case .string(let text): writer.string(1, text)
        case .stringConvertible(let text): writer.string(1, text.description)
        case .int32Array(let values): array(values.map { .int32($0) })
        case .int64Array(let values): array(values.map { .int64($0) })
        case .doubleArray(let values): array(values.map { .double($0) })
        case .boolArray(let values): array(values.map { .bool($0) })
        case .stringArray(let values): array(values.map { .string($0) })
        case .stringConvertibleArray(let values): array(values.map { .string($0.description) })
        default: break
        }
    }
}
