import Testing

@testable import SheafSettings

@Suite struct ServerSettingsTests {
    private static let full = """
        server:
          host: 0.0.0.0
          port: 9000
          prefix: sheaf/
          public_url: https://Sheaf.example.org/
          tls: { certificate: tls/chain.pem, key: /etc/sheaf/key.pem }
          tokens:
            - { token: "${SHEAF_TOKEN}", scope: write, name: operators }
            - { token: 0123456789abcdef, scope: read }
          allowed_hosts: [serve, "*.internal"]
        """

    @Test("Every key of server is read")
    func everyKey() throws {
        try SettingsFixtures.withFolder(Self.full) { folder in
            let variables = ["SHEAF_TOKEN": "fedcba9876543210"]
            let server = try Settings.load(environment: variables, directory: folder).server
            #expect(server.host == "0.0.0.0")
            #expect(server.port == 9000)
            #expect(server.prefix == "/sheaf")
            #expect(server.publicURL == "https://sheaf.example.org")
            #expect(server.certificate == folder + "/tls/chain.pem")
            #expect(server.key == "/etc/sheaf/key.pem")
            #expect(server.tokens.map(\.name) == ["operators", "token 2"])
            #expect(server.tokens.map(\.secret) == ["fedcba9876543210", "0123456789abcdef"])
            #expect(server.tokens.map(\.scope) == [.write, .read])
            #expect(server.allowedHosts == ["serve", "*.internal"])
            #expect(server.missingVariables == [])
        }
    }

    @Test("A token whose variable is not set hinders only the server")
    func missingVariable() throws {
        let server = try SettingsFixtures.load(Self.full).server
        #expect(server.missingVariables == ["SHEAF_TOKEN"])
        #expect(server.tokens.map(\.secret) == [nil, "0123456789abcdef"])
    }

    @Test(
        "An error in server names the place and the cause, and never a token",
        arguments: [
            ("hosts: a", "server.hosts: unknown key; did you mean 'host'?"),
            ("port: 65536", "server.port: expected an integer from 0 to 65535, found the number 65536"),
            ("prefix: /a/../b", "server.prefix: expected \(ServerSettings.prefixRule), found '/a/../b'"),
            (
                "public_url: example.org",
                "server.public_url: expected \(ServerSettings.publicURLRule), found 'example.org'"
            ),
            ("tls: { key: a }", "server.tls: it needs both certificate and key"),
            ("tokens: [{ scope: read }]", "server.tokens[0]: it has no token, such as ${SHEAF_TOKEN}"),
            ("tokens: [{ token: \"${A}\" }]", "server.tokens[0]: it has no scope: read or write"),
            (
                "tokens: [{ token: \"${A}\", scope: all }]",
                "server.tokens[0].scope: expected read or write, found 'all'"
            ),
            (
                "tokens: [{ token: short-secret, scope: read }]",
                "server.tokens[0].token: expected a token of at least 16 letters, digits or -._~+/=, or ${NAME}"
            ),
            (
                "tokens: [{ token: \"${SHORT}\", scope: read }]",
                "server.tokens[0].token: the environment variable 'SHORT' does not hold a token of at least 16 "
                    + "letters, digits or -._~+/=, or ${NAME}"
            ),
        ]
    )
    func errors(yaml: String, message: String) throws {
        let error = try SettingsFixtures.error("server:\n  \(yaml)", environment: ["SHORT": "short-secret"])
        #expect(error == "sheaf.yaml:2: \(message)")
    }
}
