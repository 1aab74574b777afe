import Foundation
import SheafCore
package import SheafFlows

/// A batch API that runs the requests of a ``ModelFlow``; what the clients of all providers share.
package protocol ModelBatches: BatchProvider {
    /// The path of the submissions below the base URL; that of one of them has its id, too.
    static var path: String { get }
    /// What follows on the path of a submission that is to be cancelled.
    static var cancelSuffix: String { get }

    /// Reads the state of a submission from an answer; throws a ``ProviderFailure`` if it has none.
    static func state(_ answer: ModelAnswer) throws -> SubmissionState
}

extension ModelBatches {
    /// How long a short exchange, and the transfer of many requests or results, may take.
    static var patience: (exchange: Duration, transfer: Duration) { (.seconds(60), .seconds(3_600)) }
    /// What a line of results has besides the answer, in bytes.
    static var lineOverhead: Int { 4 << 10 }

    var service: ModelService { flow.service }

    package var address: String { service.base }
    package var use: String { "\(flow.examine().use), by its batch API" }

    package func shutDown() async { await flow.shutDown() }

    // MARK: Following

    package static var cancelSuffix: String { "/cancel" }

    package func poll(_ id: String) async throws -> SubmissionState {
        try Self.state(
            await attempt { try await service.exchange("GET", "\(Self.path)/\(id)", within: Self.patience.exchange) }
        )
    }

    package func cancel(_ id: String) async throws {
        _ = try await attempt {
            try await service.exchange("POST", "\(Self.path)/\(id)\(Self.cancelSuffix)", within: Self.patience.exchange)
        }
    }

    // MARK: Calls

    /// Sends a request, and decides what a failure means.
    func attempt(_ send: () async throws -> ModelAnswer) async throws -> ModelAnswer {
        let answer: ModelAnswer
        do {
            answer = try await send()
        } catch let error as FlowError {
            if error.isUnsent { throw ProviderFailure.later(FlowThrottle(message: error.message)) }
            // Once it was sent, nothing can be known; a header that cannot be built is the flow's own mistake.
            throw error.isRetryable ? ProviderFailure.unclear(error) : ProviderFailure.refused(error)
        }
        switch answer.failure {
        case nil: return answer
        // Anthropic answers 529 if it is overloaded, before it does anything.
        case let throttle as FlowThrottle where throttle.needsPeople || [429, 529].contains(answer.status):
            throw ProviderFailure.later(throttle)
        case let throttle as FlowThrottle:
            let error = FlowError(type: "http-\(answer.status)", message: throttle.message, isRetryable: true)
            throw ProviderFailure.unclear(error)
        case let error as FlowError where answer.status == 404: throw ProviderFailure.absent(error)
        case let error as FlowError where answer.status == 403:
            // The account may not do this, whatever the requests are.
            var throttle = FlowThrottle(message: error.message)
            throttle.needsPeople = true
            throw ProviderFailure.later(throttle)
        case let error as FlowError where answer.status == 529 || Self.isOverQuota(answer):
            throw ProviderFailure.later(FlowThrottle(delay: answer.retryAfter, message: error.message))
        case let error as FlowError:
            throw error.isRetryable || answer.status == 409 || answer.status < 400
                ? ProviderFailure.unclear(error) : ProviderFailure.refused(error)
        case let error?: throw error
        }
    }

    /// Returns whether a 400 reports a quota that is used up for now, as Azure and AWS do.
    private static func isOverQuota(_ answer: ModelAnswer) -> Bool {
        guard answer.status == 400 else { return false }
        // AWS names its errors in a header, with a URL after some of them.
        if answer.header("x-amzn-errortype")?.hasPrefix("ServiceQuotaExceededException") == true { return true }
        return ["token_limit_exceeded", "quotaExceeded"].contains { name in
            answer.json?["error"]?["code"]?.stringValue == name || answer.reason?.contains(name) == true
        }
    }

    /// The error for an answer that has not the expected content.
    static func junk(_ answer: ModelAnswer, _ expected: String) -> ProviderFailure {
        let found =
            answer.json == nil
            ? "with a body that is not JSON" : "without \(expected)\(answer.reason.map { ": \($0)" } ?? "")"
        return .unclear(
            FlowError(
                type: answer.json == nil ? "output-not-json" : "unexpected-answer",
                message: "\(answer.request) answered \(answer.status) \(found)"
            )
        )
    }

    // MARK: Results

    package func result(of row: BatchRow, for task: FlowTask) -> Result<FlowOutput, FlowError> {
        switch row.content {
        case .failure(let error): return .failure(error)
        case .notRun: return .failure(FlowError(type: "not-run", message: "the request did not run", isRetryable: true))
        case .answer(let status, let body):
            do throws(FlowError) {
                if !(200..<300).contains(status) {
                    let path = try flow.request(for: task).path
                    if let failure = service.failure(of: path, status: status, body: body) { return .failure(failure) }
                }
                return .success(try flow.output(of: body, for: task))
            } catch {
                return .failure(error)
            }
        }
    }

    /// Downloads a file with one result on each line, and reads it.
    ///
    /// - Parameters:
    ///   - location: The path of the file below the base URL, or its URL.
    ///   - id: The member of a line that holds the request's id.
    ///   - store: The service that has the file; nil means that of the models.
    ///   - overhead: What a line has besides the answer, in bytes.
    ///   - counts: Is increased by what was read.
    ///   - row: Reads a line; returns nil if it is no result.
    ///   - each: Is given each result.
    func readLines(
        of location: String,
        id: String = "custom_id",
        from store: ModelService? = nil,
        overhead: Int = Self.lineOverhead,
        into counts: inout RowCounts,
        _ row: ([UInt8]) -> BatchRow?,
        _ each: (BatchRow) async throws -> Void
    ) async throws {
        let spool = try SpoolFile()
        _ = try await attempt {
            try await (store ?? service).download(location, to: spool.descriptor, within: Self.patience.transfer)
        }
        var read = RowCounts()
        try await spool.readLines(atMost: service.maximumOutput + overhead) { line, isTooLong in
            if let row = isTooLong ? tooLong(line, id) : row(line) {
                read.rows += 1
                try await each(row)
            } else {
                read.damaged += 1
            }
        }
        counts.rows += read.rows
        counts.damaged += read.damaged
    }

    /// Returns the result of a line whose end was left out; nil if its id is not in the part that was read.
    private func tooLong(_ line: [UInt8], _ name: String) -> BatchRow? {
        guard let id = Self.requestID(in: line, name) else { return nil }
        let failure = FlowError(
            type: "output-too-large",
            message: "the answer has more than \(service.maximumOutput) bytes; max_output sets the limit"
        )
        return BatchRow(id: id, content: .failure(failure))
    }

    /// Returns the request's id in the beginning of a line; nil if it is not there.
    static func requestID(in line: [UInt8], _ name: String = "custom_id") -> String? {
        let text = String(decoding: line.prefix(lineOverhead), as: UTF8.self)
        guard let start = text.firstRange(of: "\"\(name)\"")?.upperBound else { return nil }
        return text[start...].prefixMatch(of: /\s*:\s*"([^"\\]+)"/).map { String($0.1) }
    }

    // MARK: Values

    /// Returns the id of an object; nil if it has none that can be part of a URL and of a memo.
    static func id(_ json: JSONValue?) -> String? { (json?["id"]?.stringValue).flatMap { isID($0) ? $0 : nil } }

    static func isID(_ text: String) -> Bool { ProviderID.isValid(text) }

    /// Reads an amount or a time, which may be any number.
    static func amount(_ json: JSONValue?) -> Int { min(max(0, json?.intValue ?? 0), 1 << 40) }

    /// Reads a time such as `2026-11-29T20:00:00Z`, in seconds since 1970; returns 0 if it is none.
    static func time(_ json: JSONValue?) -> Int {
        guard let text = json?.stringValue else { return 0 }
        let formatter = ISO8601DateFormatter()
        let whole: ISO8601DateFormatter.Options = .withInternetDateTime
        for options in [whole, whole.union(.withFractionalSeconds)] {
            formatter.formatOptions = options
            guard let date = formatter.date(from: text) else { continue }
            return min(max(0, Int(min(date.timeIntervalSince1970, 1e12))), 1 << 40)
        }
        return 0
    }
}

/// The ids that providers give to their objects.
package enum ProviderID {
    /// Returns whether a string can be part of a URL and of a memo.
    package static func isValid(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "-_.:".utf8.contains(byte)
                }
            }
    }
}
