import java.util.ArrayList;
import java.util.List;
import java.util.Map;

import org.apache.lucene.analysis.Analyzer;
import org.apache.lucene.analysis.th.ThaiTokenizer;
import org.opensearch.analysis.common.CommonAnalysisModulePlugin;
import org.opensearch.index.analysis.AnalyzerProvider;
import org.opensearch.index.analysis.PreBuiltAnalyzerProviderFactory;
import org.opensearch.indices.analysis.AnalysisModule;

/**
 * The module of the analyzers, less Thai where the Java has no break iterator for it, as trimmed runtimes have not: the
 * server builds every analyzer for every index, so one that cannot be built would let no index be created.
 */
public final class Analysis extends CommonAnalysisModulePlugin {
    @Override
    public Map<String, AnalysisModule.AnalysisProvider<AnalyzerProvider<? extends Analyzer>>> getAnalyzers() {
        var all = super.getAnalyzers();
        if (!ThaiTokenizer.DBBI_AVAILABLE) {
            all.remove("thai");
        }
        return all;
    }

    @Override
    public List<PreBuiltAnalyzerProviderFactory> getPreBuiltAnalyzerProviderFactories() {
        List<PreBuiltAnalyzerProviderFactory> all = new ArrayList<>(super.getPreBuiltAnalyzerProviderFactories());
        all.removeIf(factory -> factory.getName().equals("thai") && !ThaiTokenizer.DBBI_AVAILABLE);
        return all;
    }
}
