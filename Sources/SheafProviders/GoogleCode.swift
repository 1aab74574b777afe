import SheafCore

/// The codes of Google's errors, `google.rpc.Code`.
enum GoogleCode {
    /// Returns the status with which a live request would fail, for a code, which may be a status itself.
    static func status(_ code: Int) -> Int {
        switch code {
        case 400..<600: code
        case 3, 9, 11: 400
        case 16: 401
        case 7: 403
        case 5: 404
        case 6, 10: 409
        case 8: 429
        case 12: 501
        case 14: 503
        case 4: 504
        default: 500
        }
    }
}

// What the jobs of Gemini and of Vertex AI share.
extension ModelBatches {
    /// Returns where a job is, for the end of its state's name, such as `SUCCEEDED`, and its error.
    static func googlePhase(_ state: String, _ error: JSONValue?) -> SubmissionState.Phase {
        switch state {
        case "SUCCEEDED", "PARTIALLY_SUCCEEDED", "EXPIRED", "CANCELLED": return .ended
        case "FAILED":
            let message = error?["message"]?.stringValue ?? "no reason is given"
            let status = error?["code"]?.intValue.map(GoogleCode.status) ?? 400
            return [408, 409, 429].contains(status) || status >= 500 ? .refusedForNow(message) : .refused(message)
        default: return .running
        }
    }

    /// Reads an amount, which is written as a string; one that is unknown is `-1` at Vertex AI, and 0 here.
    static func googleCount(_ json: JSONValue?) -> Int {
        amount(json?.stringValue.flatMap { Int($0) }.map { .integer($0) } ?? json)
    }
}
