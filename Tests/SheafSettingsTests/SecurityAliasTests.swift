import Testing

@testable import SheafSettings

struct SecurityAliasTests {
    /// Twelve lines that expand to 2 · 9¹¹ values.
    @Test("Aliases of aliases are limited in number") func aliasesOfAliases() {
        var yaml = "a0: &a0 [x, x]\n"
        for level in 1...11 {
            let aliases = Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ", ")
            yaml += "a\(level): &a\(level) [\(aliases)]\n"
        }
        let error = #expect(throws: SettingsError.self) { try SettingsNode(yaml: yaml, path: "sheaf.yaml") }
        #expect(error?.description.contains("more than 100000 values") == true)
    }
}
