// swift-tools-version: 6.3
import PackageDescription

/// The compiler settings of every Swift target in this package.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),  // SE-0335
    .enableUpcomingFeature("InternalImportsByDefault"),  // SE-0409
    .enableUpcomingFeature("MemberImportVisibility"),  // SE-0444
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),  // SE-0461
    .enableUpcomingFeature("InferIsolatedConformances"),  // SE-0470
    .enableUpcomingFeature("ImmutableWeakCaptures"),  // SE-0481
    .treatAllWarnings(as: .error),
]

let asyncHTTPClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let bitCollections = Target.Dependency.product(name: "BitCollections", package: "swift-collections")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let grdbSQLite = Target.Dependency.product(name: "GRDBSQLite", package: "GRDB.swift")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore = Target.Dependency.product(name: "HummingbirdCore", package: "hummingbird")
let hummingbirdTLS = Target.Dependency.product(name: "HummingbirdTLS", package: "hummingbird")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioHTTPTypes = Target.Dependency.product(name: "NIOHTTPTypes", package: "swift-nio-extras")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let mustache = Target.Dependency.product(name: "Mustache", package: "swift-mustache")
let orderedCollections = Target.Dependency.product(name: "OrderedCollections", package: "swift-collections")
let subprocess = Target.Dependency.product(name: "Subprocess", package: "swift-subprocess")
let systemPackage = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let tracing = Target.Dependency.product(name: "Tracing", package: "swift-distributed-tracing")
let unixSignals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")

/// A library target of this package.
func library(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .target(name: name, dependencies: dependencies, resources: resources, swiftSettings: strict)
}

/// A test target of this package; the target under test is the first dependency.
func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: strict)
}

/// `make fuzz` sets it: Tests/FuzzingTests is then built as a libFuzzer program instead of a test target.
let isFuzzing = Context.environment["SHEAF_FUZZING"] != nil

/// The targets that decode bytes from outside.
let decoders: [Target.Dependency] = [
    "AMQPClient", "SheafBroker", "SheafCore", "SheafEmbedded", "SheafFlows", "SheafProviders", "SheafRabbitMQ",
    "SheafSettings", "SheafSources", orderedCollections,
]

let package = Package(
    name: "sheaf",
    products: [
        .library(name: "Sheaf", targets: ["Sheaf"]),
        .library(name: "SheafBatchKit", targets: ["SheafBatchKit"]),
        .library(name: "SheafBroker", targets: ["SheafBroker"]),
        .library(name: "SheafRedis", targets: ["SheafRedis"]),
        .library(name: "SheafTelemetry", targets: ["SheafTelemetry"]),
        .library(name: "SheafTesting", targets: ["SheafTesting"]),
        .executable(name: "sheaf", targets: ["sheaf-cli"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.3"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.30.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: ["FullFoundation"]),
        .package(url: "https://github.com/hummingbird-project/swift-mustache", from: "2.1.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
    ],
    // Nothing imports upward: each target uses only targets above it.
    targets: [
        .systemLibrary(name: "CRabbitMQ", pkgConfig: "librabbitmq", providers: [.apt(["librabbitmq-dev"])]),
        // Without pkg-config, whose flags for hiredis SwiftPM refuses with a warning.
        .systemLibrary(name: "CHiredis", providers: [.apt(["libhiredis-dev"])]),
        .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        library("AMQPClient", ["CRabbitMQ"]),

        library("SheafCore", [bitCollections, orderedCollections]),
        library("SheafBroker", ["SheafCore"]),
        library("SheafEmbedded", ["SheafCore", "SheafBroker", grdb, grdbSQLite, systemPackage]),
        library("SheafRabbitMQ", ["SheafCore", "SheafBroker", "AMQPClient"]),
        library("SheafSources", ["SheafCore"]),
        library(
            "SheafFlows",
            [
                "CCrypto", "SheafCore", asyncHTTPClient, logging, mustache, nioCore, nioHTTP1, nioPosix,
                orderedCollections, subprocess, systemPackage,
            ]
        ),

        library(
            "SheafBatches",
            [
                "SheafCore", "SheafBroker", "SheafEmbedded", "SheafRabbitMQ", "SheafSources", "SheafFlows",
                bitCollections, lifecycle, logging, orderedCollections, systemPackage,
            ]
        ),
        library("SheafWorker", ["SheafCore", "SheafBroker", "SheafFlows", "SheafBatches", lifecycle, logging]),
        library(
            "SheafDispatch",
            ["SheafCore", "SheafBroker", "SheafSources", "SheafBatches", lifecycle, logging, orderedCollections]
        ),
        library(
            "SheafRedis",
            ["CHiredis", "SheafCore", "SheafSources", "SheafBatches", "SheafDispatch", orderedCollections]
        ),
        library(
            "Sheaf",
            ["SheafCore", "SheafBroker", "SheafSources", "SheafFlows", "SheafBatches", "SheafWorker", "SheafDispatch"]
        ),
        library("SheafProviders", ["SheafCore", "SheafFlows", logging, orderedCollections, systemPackage]),
        library(
            "SheafBatchKit",
            [
                "Sheaf", "SheafCore", "SheafBroker", "SheafSources", "SheafFlows", "SheafBatches", "SheafWorker",
                "SheafDispatch", "SheafProviders", lifecycle, logging, orderedCollections,
            ]
        ),
        library(
            "SheafSettings",
            [
                "SheafCore", "SheafBroker", "SheafFlows", "SheafProviders", "SheafDispatch", "SheafRedis",
                orderedCollections, systemPackage, yams,
            ]
        ),
        library(
            "SheafFormats",
            [
                "SheafBatches", "SheafDispatch", "SheafRedis", "SheafCore", "SheafBroker", "SheafFlows", "SheafSources",
                "SheafSettings", orderedCollections, systemPackage,
            ]
        ),
        library(
            "SheafTelemetry",
            ["SheafCore", "SheafFlows", "SheafBatches", "SheafWorker", asyncHTTPClient, logging, metrics, tracing]
        ),
        library(
            "SheafServer",
            [
                "CZlib", "Sheaf", "SheafBatches", "SheafCore", "SheafBroker", "SheafDispatch", "SheafFlows",
                "SheafSources", "SheafSettings", "SheafFormats", "SheafTelemetry", httpTypes, hummingbird,
                hummingbirdCore, hummingbirdTLS, lifecycle, logging, metrics, mustache, nioCore, nioHTTP1,
                nioHTTPTypes, nioSSL, orderedCollections, systemPackage,
            ],
            // The templates, styles and script of the pages, so that the program is one file.
            resources: [.embedInCode("Pages/Files")]
        ),
        library(
            "SheafCommands",
            [
                "Sheaf", "SheafDispatch", "SheafRedis", "SheafCore", "SheafBroker", "SheafFlows", "SheafSources",
                "SheafSettings", "SheafFormats", "SheafServer", "SheafTelemetry", argumentParser, lifecycle, logging,
                orderedCollections,
                systemPackage,
                unixSignals,
            ]
        ),
        .executableTarget(name: "sheaf-cli", dependencies: ["SheafCommands"], swiftSettings: strict),

        library(
            "SheafTesting",
            [
                "SheafCore", "SheafBroker", "SheafFlows", "SheafBatches", "SheafDispatch", "SheafSources",
                "SheafWorker", logging,
            ]
        ),
        // What test targets share that run the built command, RabbitMQ nodes and other programs, or disturb connections.
        .target(
            name: "SheafTestTools",
            dependencies: ["SheafCore", "SheafBroker", subprocess, systemPackage],
            path: "Tests/SheafTestTools",
            swiftSettings: strict
        ),
        // What they share above that: batches and workers in this process, and the real command on both brokers.
        .target(
            name: "SheafTestSupport",
            dependencies: ["Sheaf", "SheafBroker", "SheafCore", "SheafFlows", "SheafTestTools", logging],
            path: "Tests/Support",
            swiftSettings: strict
        ),
        tests("AMQPClientTests", ["AMQPClient", "SheafTestTools"]),
        tests("SheafCoreTests", ["SheafCore", orderedCollections]),
        tests("SheafSourcesTests", ["SheafSources", "SheafCore"]),
        tests("SheafFlowsTests", ["SheafFlows", "SheafCore", "SheafTestTools", logging]),
        tests(
            "SheafProvidersTests",
            [
                "SheafProviders", "sheaf-cli", "Sheaf", "SheafCore", "SheafFlows", "SheafTestSupport", "SheafTestTools",
                logging, orderedCollections,
            ],
            exclude: ["SDKs"]
        ),
        .executableTarget(
            name: "BatchKitProbe",
            dependencies: ["SheafBatchKit", logging],
            path: "Tests/BatchKitProbe",
            swiftSettings: strict
        ),
        tests(
            "SheafBatchKitTests",
            [
                "SheafBatchKit", "BatchKitProbe", "sheaf-cli", "Sheaf", "SheafBatches", "SheafBroker", "SheafCore",
                "SheafDispatch", "SheafFlows", "SheafTestSupport", "SheafTestTools", "SheafTesting", "SheafWorker",
                lifecycle, logging, orderedCollections, systemPackage,
            ]
        ),
        tests(
            "SheafSettingsTests",
            ["SheafSettings", "SheafBroker", "SheafCore", "SheafFlows", "SheafProviders", orderedCollections]
        ),
        .executableTarget(
            name: "EmbeddedProbe",
            dependencies: ["SheafEmbedded", "SheafBroker", "SheafCore", systemPackage],
            path: "Tests/EmbeddedProbe",
            swiftSettings: strict
        ),
        tests(
            "SheafEmbeddedTests",
            ["SheafEmbedded", "EmbeddedProbe", "SheafBroker", "SheafCore", "SheafTesting", systemPackage]
        ),
        .executableTarget(
            name: "BrokerProbe",
            dependencies: ["SheafRabbitMQ", "SheafBroker", "SheafCore", "SheafTestTools"],
            path: "Tests/BrokerProbe",
            swiftSettings: strict
        ),
        tests(
            "SheafRabbitMQTests",
            [
                "SheafRabbitMQ", "AMQPClient", "BrokerProbe", "SheafBroker", "SheafCore", "SheafTesting",
                "SheafTestTools",
            ]
        ),
        tests(
            "SheafRabbitMQFaultTests",
            ["SheafRabbitMQ", "AMQPClient", "BrokerProbe", "SheafBroker", "SheafCore", "SheafTestTools"]
        ),
        tests(
            "SheafTests",
            [
                "Sheaf", "SheafBatches", "SheafWorker", "SheafBroker", "SheafCore", "SheafFlows", "SheafSources",
                "SheafTestSupport", "SheafTestTools", "SheafTesting", logging,
            ]
        ),
        tests(
            "SheafDispatchTests",
            [
                "SheafDispatch", "Sheaf", "SheafBatches", "SheafBroker", "SheafCore", "SheafSources", "SheafTesting",
                "SheafTestSupport", "SheafTestTools", logging, orderedCollections,
            ]
        ),
        tests(
            "SheafRedisTests",
            [
                "SheafRedis", "sheaf-cli", "Sheaf", "SheafBatches", "SheafDispatch", "SheafCore", "SheafSources",
                "SheafTesting", "SheafTestSupport", "SheafTestTools", logging,
            ]
        ),
        tests(
            "SheafFaultTests",
            [
                "Sheaf", "SheafBatches", "SheafWorker", "SheafBroker", "SheafCore", "SheafFlows", "SheafSources",
                "SheafTestSupport", "SheafTesting", logging,
            ]
        ),
        .testTarget(
            name: "SheafTelemetryTests",
            dependencies: [
                "sheaf-cli", "SheafTelemetry", "SheafServer", "Sheaf", "SheafBatches", "SheafCore", "SheafFlows",
                "SheafWorker", "SheafTestSupport", "SheafTestTools", asyncHTTPClient, logging, metrics, nioCore,
                nioHTTP1, tracing,
            ],
            exclude: ["collector.py"],
            swiftSettings: strict
        ),
        tests(
            "SheafServerTests",
            [
                "SheafServer", "SheafFormats", "SheafSettings", "SheafTelemetry", "Sheaf", "SheafBatches",
                "SheafBroker", "SheafCore", "SheafDispatch", "SheafFlows", "SheafSources", "SheafTestSupport",
                "SheafTesting", "SheafTestTools", asyncHTTPClient, lifecycle, logging, nioCore, nioHTTP1, nioPosix,
                nioSSL,
                orderedCollections, subprocess, systemPackage, "sheaf-cli",
            ],
            exclude: ["browser.py", "schemathesis.toml", "schemathesis_hooks.py"]
        ),
        tests(
            "SheafCommandsTests",
            [
                "SheafCommands", "SheafFormats", "Sheaf", "SheafBatches", "SheafBroker", "SheafCore", "SheafSources",
                argumentParser, logging, systemPackage,
            ]
        ),
        tests(
            "DeploymentTests",
            [
                "SheafCommands", "SheafSettings", "SheafFlows", "SheafCore", "SheafTestTools", "sheaf-cli",
                argumentParser, asyncHTTPClient, nioCore, nioHTTP1, orderedCollections, yams,
            ]
        ),
        // The example package of docs/flows.md, built and tested here too; its own Package.swift has the products only.
        .executableTarget(
            name: "shorten",
            dependencies: ["Sheaf"],
            path: "docs/swift-flow/Sources/shorten",
            swiftSettings: strict
        ),
        tests("SheafTestingTests", ["Sheaf", "SheafTesting"]),
        .testTarget(
            name: "ShortenTests",
            dependencies: ["shorten", "Sheaf", "SheafTesting"],
            path: "docs/swift-flow/Tests/ShortenTests",
            swiftSettings: strict
        ),
        tests("CommandLineTests", ["sheaf-cli", "shorten", "SheafCore", "SheafTestTools"]),
        tests(
            "IntegrationTests",
            ["sheaf-cli", "AMQPClient", "Sheaf", "SheafBroker", "SheafCore", "SheafTestTools", "SheafTestSupport"]
        ),
        tests(
            "FaultTests",
            [
                "sheaf-cli", "Sheaf", "SheafBroker", "SheafCore", "SheafTestTools", "SheafTestSupport", asyncHTTPClient,
                nioCore, nioHTTP1,
            ]
        ),
        .testTarget(
            name: "ProtocolTests",
            dependencies: ["sheaf-cli", "SheafCore", subprocess, systemPackage],
            exclude: ["sheaf_amqp.py"],
            swiftSettings: strict
        ),
        isFuzzing
            ? .executableTarget(
                name: "Fuzzing",
                dependencies: decoders,
                path: "Tests/FuzzingTests",
                exclude: ["Corpus", "Frames", "Replaying"],
                swiftSettings: strict
            )
            : .testTarget(
                name: "FuzzingTests",
                dependencies: decoders,
                exclude: ["Corpus", "LibFuzzer.swift"],
                swiftSettings: strict
            ),
        // The programs of `make bench`: loops without Sheaf, and what the command cannot do.
        .executableTarget(
            name: "RawLoops",
            dependencies: ["CRabbitMQ"],
            path: "Tests/Benchmarks/RawLoops",
            publicHeadersPath: ".",
            linkerSettings: [.linkedLibrary("sqlite3")]
        ),
        .executableTarget(
            name: "BenchProbe",
            dependencies: ["Sheaf", "SheafBroker", "SheafCore"],
            path: "Tests/Benchmarks/BenchProbe",
            swiftSettings: strict
        ),
        tests("DocumentationTests", ["Sheaf", "SheafCommands", "SheafSettings", lifecycle, logging]),
    ]
)
