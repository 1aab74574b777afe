import Foundation
import SheafBroker

/// A store for a program that needs none after its end.
enum TemporaryStore {
    /// Runs the body with the given store, or with a new folder that is removed afterwards.
    static func with<Result: Sendable>(
        unless store: BrokerReference?,
        _ body: (BrokerReference) async throws -> Result
    ) async throws -> Result {
        if let store { return try await body(store) }
        let folder = FileManager.default.temporaryDirectory.appending(path: "sheaf-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        return try await body(.embedded(directory: folder))
    }
}
