import SheafCore
import SheafFlows

/// Writes the requests of a submission to a temporary file.
struct RequestWriter {
    let provider: any BatchProvider
    /// Our name of the submission, which the names of the requests begin with.
    let key: String
    /// The most tokens of all requests together; nil for any number.
    let tokens: Int?

    /// Writes the requests of as many tasks as fit into a submission; returns nil if there are none.
    ///
    /// A task that cannot be a request fails.
    ///
    /// - Throws: ``FlowThrottle`` if the file cannot be written.
    func write(_ tasks: OpenTasks) async throws -> BatchRequests? {
        let (file, limits) = (try SpoolFile(), provider.limits)
        var writer = SpoolFile.Writer(file)
        var (model, inputs, tokens) = (String?.none, 0, 0)
        for index in tasks.waiting {
            try Task.checkCancellation()
            let line: BatchLine
            do throws(FlowError) {
                line = try provider.encode(tasks.task(index), id: SubmissionMemo.requestID(key, index))
            } catch {
                await tasks.end(index, .failure(error))
                continue
            }
            let estimate = TokenEstimate.most(line.bytes.count)
            if let error = tooLarge(line, estimate) {
                await tasks.end(index, .failure(error))
                continue
            }
            if let model, model != line.model { continue }
            if writer.lines >= limits.requests || inputs + line.inputs > limits.inputs
                || writer.size + line.bytes.count + 1 > limits.bytes || tokens + estimate > self.tokens ?? .max
            {
                break
            }
            model = line.model
            inputs += line.inputs
            tokens += estimate
            try writing { () throws in try writer.add(line.bytes) }
        }
        try writing { () throws in try writer.flush() }
        guard let model, writer.lines > 0 else { return nil }
        return BatchRequests(spool: file, size: writer.size, count: writer.lines, model: model, tokens: tokens)
    }

    /// Returns the error of a request that fits into no submission; nil if it does.
    private func tooLarge(_ line: BatchLine, _ estimate: Int) -> FlowError? {
        let limits = provider.limits
        if line.bytes.count + 1 > limits.bytes || line.inputs > limits.inputs {
            let message = """
                the request has \(line.bytes.count) bytes and \(line.inputs) inputs; a submission can have \
                \(limits.bytes) bytes and \(limits.inputs) inputs
                """
            return FlowError(type: Self.tooLargeType, message: message)
        }
        guard let tokens, estimate > tokens else { return nil }
        let message = "the request has about \(estimate) tokens, and max_enqueued_tokens is \(tokens)"
        return FlowError(type: Self.tooLargeType, message: message)
    }

    private static let tooLargeType = "request-too-large"

    private func writing(_ operation: () throws -> Void) throws {
        do {
            try operation()
        } catch {
            throw FlowThrottle(message: "cannot write the requests of a submission to a temporary file: \(error)")
        }
    }
}
