import HTTPTypes
import Hummingbird
import NIOCore
import SheafBatches
import SheafCore
import SheafFormats
import SheafSettings

/// The route that returns the results of a batch as a file.
struct ResultRoutes {
    let client: SheafClient

    /// What to join the results with.
    enum Merging: String, CaseIterable { case input }

    private enum Flag: String, CaseIterable {
        case yes = "true"
        case no = "false"
    }

    func register(on group: RouterGroup<ServerContext>) {
        group.get("batches/:batch/results") { request, context in
            try context.require(.read)
            return try await download(request, context.parameter("batch"))
        }
    }

    private func download(_ request: Request, _ batch: String) async throws -> Response {
        let values = try QueryValues(
            request,
            allowed: ["format", "status", "ordered", "merge", "after_line", "generation"]
        )
        let format = try values.word("format", ResultFormat.self) ?? .jsonl
        let afterLine = try values.number("after_line", in: 0...BatchState.maximumTasks) ?? 0
        let isOrdered = try values.word("ordered", Flag.self) == .yes
        let merged = try values.word("merge", Merging.self) == nil ? nil : try await client.mergedResults(of: batch)
        let results = if let merged { merged.results } else { try await client.results(of: batch, ordered: isOrdered) }
        if afterLine > 0 {
            if format == .json {
                throw HTTPError(.badRequest, message: "after_line needs format=jsonl or format=csv")
            }
            if isOrdered || merged != nil, !results.isComplete {
                throw HTTPError(
                    .badRequest,
                    message: "after_line cannot continue ordered or merged results of a batch that has not ended"
                )
            }
        }
        let generation = results.batch.generation
        if let before = try values.number("generation", in: 0...BatchState.maximumTasks), before != generation {
            throw Problem(
                .conflict,
                "batch '\(results.batch.id)' was retried since generation \(before), which changed earlier lines: read "
                    + "the results from the beginning"
            )
        }
        var statuses = try values.words("status", Outcome.Status.self)
        // A task that was cancelled may still end while its batch runs, so its line comes when the batch has ended.
        if !results.isComplete {
            statuses = (statuses.isEmpty ? [.succeeded, .failed] : statuses).subtracting([.cancelled])
            if statuses.isEmpty {
                throw HTTPError(.badRequest, message: "cancelled tasks are known when the batch has ended")
            }
        }
        let wanted = statuses
        var mergedWriter: MergedWriter?
        if let merged { mergedWriter = try await MergedWriter(format: format, for: merged) }
        var headers: HTTPFields = [
            .contentType: format.mediaType, .vary: "Accept-Encoding", .xContentTypeOptions: "nosniff",
            .contentDisposition: "attachment; filename=\"\(results.batch.id).\(format.rawValue)\"",
            .trailer: HTTPField.Name.lastLine.rawName, .incomplete: results.isComplete ? "false" : "true",
            .generation: String(generation),
        ]
        let isGzipped = request.acceptsGzip
        if isGzipped { headers[.contentEncoding] = "gzip" }
        return Response(
            status: .ok,
            headers: headers,
            body: ResponseBody { [mergedWriter] writer in
                var rows =
                    if let merged, let mergedWriter {
                        ResultRows(merged, writer: mergedWriter, statuses: wanted, after: afterLine)
                    } else {
                        ResultRows(results, format: format, statuses: wanted, after: afterLine)
                    }
                let encoder = isGzipped ? GzipEncoder() : nil
                while let bytes = try await rows.next() {
                    let piece = encoder?.encode(bytes) ?? ByteBuffer(bytes: bytes)
                    if piece.readableBytes > 0 { try await writer.write(piece) }
                }
                if let encoder { try await writer.write(encoder.finish()) }
                try await writer.finish([.lastLine: String(rows.line)])
            }
        )
    }
}

extension ResultFormat {
    fileprivate var mediaType: String {
        switch self {
        case .jsonl: "application/x-ndjson"
        case .csv: "text/csv; charset=utf-8"
        case .json: "application/json"
        }
    }
}

extension Request {
    /// Whether the client accepts a response that is compressed with gzip.
    fileprivate var acceptsGzip: Bool {
        headers[values: .acceptEncoding].flatMap { $0.split(separator: ",") }.contains { coding in
            let parts = coding.split(separator: ";").map { $0.filter { $0 != " " }.lowercased() }
            guard parts.first == "gzip" || parts.first == "*" else { return false }
            return !parts.dropFirst().contains { $0.hasPrefix("q=") && Double($0.dropFirst(2)) == 0 }
        }
    }
}

extension HTTPField.Name {
    /// `X-Incomplete`: whether more lines may follow, because the batch has not ended.
    fileprivate static var incomplete: Self { custom("X-Incomplete") }
    /// `X-Generation`: the number of retries; each may change earlier lines.
    fileprivate static var generation: Self { custom("X-Generation") }
    /// `X-Last-Line`: the number of the last line, for `after_line`; a trailer.
    fileprivate static var lastLine: Self { custom("X-Last-Line") }

    private static func custom(_ name: String) -> Self {
        guard let name = Self(name) else { preconditionFailure("'\(name)' is not the name of a field") }
        return name
    }
}
