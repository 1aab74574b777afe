import HTTPTypes
import Hummingbird
import SheafCore
import SheafSources

/// The `Idempotency-Key` of a request: requests with the same key create one batch.
///
/// The id of the batch is derived from the key, so that every server finds the batch without a store of keys.
struct IdempotencyKey: Sendable {
    /// The id of the batch.
    let batch: Name

    /// Reads the key of a request, if it has one.
    ///
    /// - Throws: `HTTPError` with 400 if it is invalid.
    init?(_ headers: HTTPFields) throws {
        guard let name = HTTPField.Name("Idempotency-Key"), let key = headers[name] else { return nil }
        let isPrintable = key.utf8.allSatisfy { 0x20..<0x7F ~= $0 }
        let digits = SourceConfiguration.digest(of: ["key", key]) + SourceConfiguration.digest(of: [key, "batch"])
        guard (1...255).contains(key.utf8.count), isPrintable, let batch = Name("key-\(digits)") else {
            throw HTTPError(.badRequest, message: "Idempotency-Key must be 1 to 255 printable ASCII characters")
        }
        self.batch = batch
    }
}
