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
