import Testing

@testable import AMQPClient

struct ConfigurationTests {
    @Test("Every part of the URL is parsed")
    func everyPart() throws {
        let url = "amqps://us%40er:p%3Aa%2Fss@broker.example:5999/my%2Fhost?heartbeat=7&cacertfile=/tmp/ca%20x.pem"
        let configuration = try AMQPConfiguration(url: url, connectionName: "me")
        #expect(configuration.user == "us@er")
        #expect(configuration.password.reveal() == "p:a/ss")
        #expect(configuration.host == "broker.example")
        #expect(configuration.port == 5999)
        #expect(configuration.virtualHost == "my/host")
        #expect(configuration.heartbeat == .seconds(7))
        #expect(configuration.tls?.trustRootsPath == "/tmp/ca x.pem")
        #expect(configuration.connectionName == "me")
    }

    @Test(
        "Missing parts of the URL have defaults",
        arguments: [
            ("amqp://", "amqp://guest@localhost:5672/"),
            ("amqp://host", "amqp://guest@host:5672/"),
            ("amqp://host/", "amqp://guest@host:5672/"),
            ("amqp://host/%2f", "amqp://guest@host:5672/"),
            ("amqps://host", "amqps://guest@host:5671/"),
            ("AMQP://user@host:1/v", "amqp://user@host:1/v"),
            ("amqp://user:a@b@host/v", "amqp://user@host:5672/v"),
            ("amqp://[::1]:99", "amqp://guest@[::1]:99/"),
            ("amqp://[::1]", "amqp://guest@[::1]:5672/"),
        ]
    )
    func defaults(url: String, expected: String) throws {
        #expect(try AMQPConfiguration(url: url).description == expected)
    }

    @Test(
        "Errors name the invalid part and never show the password",
        arguments: [
            ("http://host", "scheme"), ("host:5672", "scheme"), ("amqp://host:0", "port"),
            ("amqp://host:65536", "port"),
            ("amqp://host:secret", "port"), ("amqp://%zz:secret@host", "user"), ("amqp://u:secret%@host", "password"),
            ("amqp://u:secret@host/%ff", "virtual host"), ("amqp://[::1", "host"), ("amqp://host?speed=9", "query"),
            ("amqp://host?heartbeat=0", "heartbeat"), ("amqp://host?cacertfile=x", "query"),
            ("amqps://u:secret@host?certfile=x", "certificate"), ("amqp://u:secret%00@host", "password"),
        ]
    )
    func invalidURLs(url: String, part: String) throws {
        let error = #expect(throws: AMQPError.self) { try AMQPConfiguration(url: url) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains(part) == true)
        #expect(error?.message.contains("secret") == false)
    }

    @Test("TLS trusts the system's certificates by default")
    func defaultCertificates() throws {
        #expect(try AMQPConfiguration(url: "amqps://host").tls == AMQPTLSConfiguration(trustRootsPath: nil))
    }

    @Test("A frame size out of range is refused", arguments: [4_095, 131_073])
    func frameSizeOutOfRange(size: Int) {
        var configuration = AMQPConfiguration()
        configuration.maximumFrameSize = size
        #expect(throws: AMQPError.self) { try configuration.validate() }
    }

    @Test("Descriptions and dumps never show the password")
    func hiddenPassword() throws {
        let configuration = try AMQPConfiguration(url: "amqp://user:hush@host/v")
        var dumped = ""
        dump(configuration, to: &dumped)
        dump(configuration.password, to: &dumped)
        let shown = [dumped, "\(configuration)", String(reflecting: configuration), "\(configuration.password)"]
        #expect(shown.allSatisfy { !$0.contains("hush") })
    }
}
