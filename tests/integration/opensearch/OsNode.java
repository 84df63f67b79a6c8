import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.TimeUnit;

import org.opensearch.Version;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.plugins.PluginInfo;

/**
 * One OpenSearch node for tests: {@code java -cp classes:lib/* OsNode HOME [key=value ...]}. Its modules are those of
 * the class path, unless HOME has a folder {@code modules}: then they and the plugins are what the folders hold.
 *
 * <p>It constructs {@link Node} itself and so passes by the distribution's Bootstrap, which refuses root, wants a
 * folder layout and checks the host for production use. The node is closed, and the process ends, when standard input
 * ends: whoever started it holds the other end of that pipe, so no node outlives a test run that was killed.
 */
public final class OsNode extends Node {
    /** The modules of the class path; Netty gives HTTP, the others what the distribution can always do. */
    private static final List<String> MODULES = List.of(
        "org.opensearch.transport.Netty4ModulePlugin",
        "Analysis",  // by name: where there is a folder of modules, it is in one of those
        "org.opensearch.painless.PainlessModulePlugin",
        "org.opensearch.script.mustache.MustacheModulePlugin",
        "org.opensearch.script.expression.ExpressionModulePlugin",
        "org.opensearch.index.reindex.ReindexModulePlugin",
        "org.opensearch.ingest.common.IngestCommonModulePlugin",
        "org.opensearch.ingest.useragent.IngestUserAgentModulePlugin",
        "org.opensearch.index.mapper.MapperExtrasModulePlugin",
        "org.opensearch.join.ParentJoinModulePlugin",
        "org.opensearch.percolator.PercolatorModulePlugin",
        "org.opensearch.search.aggregations.matrix.MatrixAggregationModulePlugin",
        "org.opensearch.geo.GeoModulePlugin"
    );

    private OsNode(Environment environment, Collection<PluginInfo> modules) {
        super(environment, modules, true);
    }

    private static PluginInfo module(String className) {
        String java = Integer.toString(Runtime.version().feature());
        return new PluginInfo(
            className, "on the class path", "NA", Version.CURRENT, java, className, Collections.emptyList(), false);
    }

    private static OsNode open(String[] args) throws Exception {
        Path home = Path.of(args[0]).toAbsolutePath();
        Path config = Files.createDirectories(home.resolve("config"));
        Settings.Builder settings = Settings.builder()
            .put("path.home", home.toString())
            .put("cluster.name", "fieldtrail-test")
            .put("node.name", "n1")
            .put("discovery.type", "single-node")
            .put("network.host", "127.0.0.1")
            .put("transport.port", "0")
            .put("cluster.routing.allocation.disk.threshold_enabled", "false");
        for (int i = 1; i < args.length; i++) {
            String[] pair = args[i].split("=", 2);
            settings.put(pair[0], pair[1]);
        }
        List<PluginInfo> modules = new ArrayList<>();
        if (!Files.isDirectory(home.resolve("modules"))) {
            for (String className : MODULES) {
                modules.add(module(className));
            }
        }
        Environment environment = InternalSettingsPreparer.prepareEnvironment(
            settings.build(), Collections.emptyMap(), config, () -> "n1");
        return new OsNode(environment, modules);
    }

    private static void close(Node node) {
        try {
            node.close();
            node.awaitClose(10, TimeUnit.SECONDS);
        } catch (Exception e) {
            e.printStackTrace();
        }
    }

    public static void main(String[] args) {
        try {
            OsNode node = open(args);
            Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node), "close"));
            node.start();
            System.out.println("READY");
            while (System.in.read() >= 0) {
                // nothing is ever sent: only the end counts
            }
            System.exit(0);
        } catch (Throwable e) {
            // a half-started node leaves threads behind that would keep the process alive and silent
            e.printStackTrace();
            System.exit(1);
        }
    }
}
