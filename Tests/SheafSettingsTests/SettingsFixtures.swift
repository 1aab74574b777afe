import Foundation
import Testing

@testable import SheafSettings

/// Configurations for the tests.
enum SettingsFixtures {
    /// Calls `body` with a folder that holds a `sheaf.yaml`, or none.
    static func withFolder(_ yaml: String? = nil, _ body: (String) throws -> Void) throws {
        let temporary = FileManager.default.temporaryDirectory.resolvingSymlinksInPath()
        let folder = temporary.appending(path: "sheaf-settings-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try yaml?.write(to: folder.appending(path: "sheaf.yaml"), atomically: true, encoding: .utf8)
        try body(folder.path())
    }

    /// Reads a configuration.
    static func load(
        _ yaml: String?,
        _ overrides: SettingsOverrides = SettingsOverrides(),
        environment: [String: String] = [:]
    ) throws -> Settings {
        var settings: Settings?
        try withFolder(yaml) {
            settings = try Settings.load(overrides, environment: environment, directory: $0)
        }
        return try #require(settings)
    }

    /// The text of the error that a configuration causes.
    static func error(
        _ yaml: String?,
        _ overrides: SettingsOverrides = SettingsOverrides(),
        environment: [String: String] = [:]
    ) throws -> String {
        let error = #expect(throws: SettingsError.self) { try load(yaml, overrides, environment: environment) }
        return try #require(error).description
    }
}
