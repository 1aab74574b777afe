import SheafTestTools
import Testing

@Suite struct ServeTests {
    /// Starts a server on a free port, and sets `port`.
    private static let start = """
        $SHEAF serve --port 0 $options 2>log & server=$!
        for _ in {1..600}; do grep -q listening log && break; sleep 0.05; done
        port=$(sed -n 's/.*127\\.0\\.0\\.1:\\([0-9]*\\).*/\\1/p' log)

        """

    @Test("A server answers until SIGTERM, and then exits with 0")
    func serve() async throws {
        try await Workbench.with(configuration: "flows: {}") { bench in
            let run = try await bench.shell(
                Self.start + """
                    exec 3<>/dev/tcp/127.0.0.1/$port
                    printf 'GET /api/batches HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3
                    cat <&3
                    kill $server
                    wait $server
                    """
            )
            #expect(run.code == 0)
            #expect(run.output.hasPrefix("HTTP/1.1 200 OK"))
            #expect(run.output.contains("\"batches\""))
        }
    }

    @Test("A port in use ends a server with 74 and advice")
    func portInUse() async throws {
        try await Workbench.with(configuration: "flows: {}") { bench in
            let run = try await bench.shell(
                Self.start + "$SHEAF serve --port $port; code=$?; kill $server; wait $server; exit $code"
            )
            #expect(run.code == 74)
            #expect(run.talk.contains("another program uses the port\n  choose another port with --port"))
        }
    }

    @Test("A server with a certificate serves HTTPS")
    func tls() async throws {
        try await Workbench.with(configuration: "flows: {}") { bench in
            let run = try await bench.shell(
                """
                openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -subj /CN=localhost \
                    -addext subjectAltName=DNS:localhost -keyout key.pem -out certificate.pem 2>openssl.log
                options="--tls-certificate certificate.pem --tls-key key.pem"

                """ + Self.start + """
                    printf 'GET /healthz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' |
                        openssl s_client -quiet -verify_return_error -verify_hostname localhost \
                            -CAfile certificate.pem -connect 127.0.0.1:$port 2>>openssl.log
                    kill $server
                    wait $server
                    """
            )
            #expect(run.code == 0)
            #expect(run.output.hasPrefix("HTTP/1.1 200 OK"), "\(run.talk)")
        }
    }

    @Test("An address that other machines reach is refused without tokens, with 78 and advice")
    func needsTokens() async throws {
        try await Workbench.with(configuration: "flows: {}") { bench in
            let run = try await bench.sheaf("serve", "--host", "0.0.0.0", "--port", "0")
            #expect(run.code == 78)
            #expect(
                run.talk == """
                    sheaf: cannot listen on 0.0.0.0: without tokens only the loopback interface is served
                      add tokens to sheaf.yaml: server: { tokens: [{ token: '${SHEAF_TOKEN}', scope: write }] }

                    """
            )
        }
    }

    @Test("A token whose variable is not set ends a server with 78; a bad certificate does so too")
    func badConfiguration() async throws {
        let configuration = "server: { tokens: [{ token: '${SHEAF_TOKEN}', scope: read }] }"
        try await Workbench.with(configuration: configuration) { bench in
            let run = try await bench.sheaf("serve", "--port", "0")
            #expect(run.code == 78)
            #expect(run.talk.contains("needs the environment variable 'SHEAF_TOKEN', which is not set"))
            let certificate = try await bench.sheaf(
                ["serve", "--port", "0", "--tls-certificate", "sheaf.yaml", "--tls-key", "sheaf.yaml"],
                environment: ["SHEAF_TOKEN": "0123456789abcdef"]
            )
            #expect(certificate.code == 78)
            #expect(certificate.talk.contains("cannot use 'sheaf.yaml' for TLS"))
        }
    }
}
