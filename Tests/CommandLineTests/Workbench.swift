import SheafTestTools

extension Workbench {
    private static let configuration = """
        flows:
          words: { exec: ["wc", "-w"] }
          picky: { exec: ["grep", "-q", "good"], retries: 0 }
          slow: { exec: ["sleep", "1"] }
          endless: { exec: ["sleep", "300"] }
          sourced: { echo: true, source: "source.jsonl" }
        """

    /// Runs the body in a new folder with some flows and an embedded broker, and removes the folder afterwards.
    static func with(_ body: (Workbench) async throws -> Void) async throws {
        try await with(configuration: configuration, body)
    }
}
