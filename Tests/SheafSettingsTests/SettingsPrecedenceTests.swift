import OrderedCollections
import SheafBroker
import SheafCore
import SheafFlows
import Testing

@testable import SheafSettings

@Suite struct SettingsPrecedenceTests {
    private static let yaml =
        "broker: amqp://file\nnamespace: file\nconcurrency: 2\nflows: { f: { exec: [cat], timeout: 5s } }"
    private static let environment = [
        "SHEAF_BROKER": "amqp://variable", "SHEAF_NAMESPACE": "variable", "SHEAF_CONCURRENCY": "3",
    ]
    private static let assignments = ["broker=amqp://set", "namespace=set", "concurrency=4"]

    @Test("A flag takes precedence over --set, a variable and the file") func flagsGoFirst() throws {
        let overrides = SettingsOverrides(
            broker: "amqp://flag",
            namespace: "flag",
            concurrency: 5,
            set: Self.assignments
        )
        let settings = try SettingsFixtures.load(Self.yaml, overrides, environment: Self.environment)
        #expect(settings.broker.description == "amqp://flag")
        #expect(settings.namespace.text == "flag")
        #expect(settings.concurrency == 5)
        #expect(settings.origin(of: "broker").description == "--broker")
        #expect(settings.origin(of: "concurrency").description == "--concurrency")
    }

    @Test("--set takes precedence over a variable and the file") func thenAssignments() throws {
        let settings = try SettingsFixtures.load(
            Self.yaml,
            SettingsOverrides(set: Self.assignments),
            environment: Self.environment
        )
        #expect(settings.broker.description == "amqp://set")
        #expect(settings.namespace.text == "set")
        #expect(settings.concurrency == 4)
        #expect(settings.origin(of: "broker").description == "--set broker")
    }

    @Test("A variable takes precedence over the file") func thenVariables() throws {
        let settings = try SettingsFixtures.load(Self.yaml, environment: Self.environment)
        #expect(settings.broker.description == "amqp://variable")
        #expect(settings.namespace.text == "variable")
        #expect(settings.concurrency == 3)
        #expect(settings.origin(of: "broker").description == "the environment variable SHEAF_BROKER")
    }

    @Test("The file counts if a variable is empty") func thenTheFile() throws {
        // An empty variable counts as unset.
        let settings = try SettingsFixtures.load(
            Self.yaml,
            environment: ["SHEAF_BROKER": "", "SHEAF_NAMESPACE": "", "SHEAF_CONCURRENCY": ""]
        )
        #expect(settings.broker.description == "amqp://file")
        #expect(settings.namespace.text == "file")
        #expect(settings.concurrency == 2)
        #expect(settings.origin(of: "broker").description == "sheaf.yaml:1")
    }

    @Test("--set reaches every key of every flow") func assignmentsReachEveryKey() throws {
        let settings = try SettingsFixtures.load(
            Self.yaml,
            SettingsOverrides(set: [
                "flows.f.timeout=2m", "flows.f.parameters.lang=de", "flows.f.parameters.n=7",
                "flows.f.parameters.zip=01234", "flows.f.parameters.eq=a=b", "flows.f.parameters.none=",
                #"flows.f.parameters.list=[1, "x"]"#, #"flows.f.exec=["wc", "-l"]"#, "flows.f.strict=true",
                "flows.new.exec=[\"true\"]", "flows.new.environment.A=1", "namespace=123", "flows.f.retries=1",
                "flows.f.retries=0",
            ])
        )
        let flow = try settings.flow(named: "f")
        #expect(flow.timeout == .seconds(120))
        #expect(flow.parameters.text == #"{"lang":"de","n":7,"zip":"01234","eq":"a=b","none":"","list":[1,"x"]}"#)
        #expect((flow.flow as? ExecFlow)?.arguments.map(\.text) == ["-l"])
        #expect(flow.batch.strict == true)
        #expect(flow.retries == 0)
        #expect(settings.namespace.text == "123")
        #expect((try settings.flow(named: "new").flow as? ExecFlow)?.environment == ["A": "1"])
        #expect(try settings.flow(named: "new").origin.description == "--set flows.new.exec")
    }

    @Test("--set needs no file") func assignmentsNeedNoFile() throws {
        let settings = try SettingsFixtures.load(nil, SettingsOverrides(set: [#"flows.a.exec=["cat"]"#]))
        #expect(settings.flows.keys.map(\.text) == ["a", "echo"])
    }

    @Test(
        "The broker may be embedded, in the file, in a variable or in a flag",
        arguments: [
            ("embedded", "embedded:FOLDER/.sheaf"), ("embedded:data", "embedded:FOLDER/data"),
            ("embedded:/var/lib/sheaf", "embedded:/var/lib/sheaf"),
            ("amqps://u:p@host:5671/v?cacertfile=/x", "amqps://u@host:5671/v"),
        ]
    )
    func brokersMayBeEmbedded(text: String, description: String) throws {
        for (yaml, overrides, environment) in [
            ("broker: '\(text)'", SettingsOverrides(), [:]),
            ("broker: amqp://file", SettingsOverrides(broker: text), [:]),
            ("broker: amqp://file", SettingsOverrides(), ["SHEAF_BROKER": text]),
        ] as [(String, SettingsOverrides, [String: String])] {
            try SettingsFixtures.withFolder(yaml) { folder in
                let settings = try Settings.load(overrides, environment: environment, directory: folder)
                #expect(settings.broker.description == description.replacing("FOLDER", with: folder))
            }
        }
    }

    @Test("Variables in the broker of the file are replaced and kept from programs") func putsVariablesIntoTheBroker()
        throws
    {
        let settings = try SettingsFixtures.load(
            "broker: amqp://${USER_NAME}:${PASSWORD}@${HOST}/v\nflows: { f: { exec: [cat] } }",
            environment: ["USER_NAME": "me", "PASSWORD": "p@ss/w:rd%", "HOST": "rabbit:5672"]
        )
        #expect(settings.broker.text == "amqp://me:p%40ss%2Fw%3Ard%25@rabbit:5672/v")
        #expect(
            (try settings.flow(named: "f").flow as? ExecFlow)?.withheldVariables
                == ["SHEAF_BROKER", "USER_NAME", "PASSWORD", "HOST"]
        )
        let whole = try SettingsFixtures.load("broker: ${URL}", environment: ["URL": "amqp://a:b@c"])
        #expect(whole.broker.description == "amqp://a@c")
        // Variables are replaced neither in a variable nor in any other key.
        let literal = try SettingsFixtures.load("flows: { f: { exec: ['${HOME}'] } }", environment: ["HOME": "/root"])
        #expect((try literal.flow(named: "f").flow as? ExecFlow)?.program == "${HOME}")
    }

    @Test("Credentials are never part of a description or a message") func credentialsNeverShow() throws {
        for text in ["amqp://me:hidden@host:1/v", "amqp://me:hid/den@x@host", "amqps://me:hidden@host?password=hidden"]
        {
            let settings = try SettingsFixtures.load("broker: \(text)")
            var dumped = ""
            dump(settings, to: &dumped)
            for shown in ["\(settings.broker)", String(reflecting: settings.broker), "\(settings)", dumped] {
                #expect(!shown.contains("hid"))
                #expect(shown.contains("me"))
            }
        }
        for text in ["http://me:hidden@host", "amqp:me:secret", "amqp://me:sec ret@host", "[secret]", "{ a: secret }"] {
            #expect(!(try SettingsFixtures.error("broker: \(text)").contains("hid")))
            #expect(!(try SettingsFixtures.error(nil, SettingsOverrides(set: ["broker=ftp:\(text)"])).contains("hid")))
        }
        #expect(!(try SettingsFixtures.error("broker: 'amqp://me:hidden@host\nflows:").contains("hid")))
    }
}
