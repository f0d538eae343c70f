import java.io.File;
import java.net.InetSocketAddress;
import java.net.URI;
import java.util.Map;
import org.apache.iceberg.Files;
import org.apache.iceberg.io.FileIO;
import org.apache.iceberg.io.InputFile;
import org.apache.iceberg.io.OutputFile;
import org.apache.iceberg.io.PositionOutputStream;
import org.apache.iceberg.io.SeekableInputStream;
import org.apache.iceberg.jdbc.JdbcCatalog;
import org.apache.iceberg.rest.RESTCatalogAdapter;
import org.apache.iceberg.rest.RESTCatalogServlet;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Server;

/** Iceberg's own REST catalog, as its tests use it, over an SQLite file and tables on local disk. Arguments: port, database file. */
public final class Serve {
  public static void main(String[] args) throws Exception {
    JdbcCatalog catalog = new JdbcCatalog();
    catalog.initialize("rest", Map.of("uri", "jdbc:sqlite:" + args[1], "warehouse", "file:///nowhere", "io-impl", Local.class.getName()));
    ServletContextHandler context = new ServletContextHandler(ServletContextHandler.NO_SESSIONS);
    context.addServlet(new ServletHolder(new RESTCatalogServlet(new RESTCatalogAdapter(catalog))), "/*");
    Server server = new Server(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])));
    server.setHandler(context);
    server.start();
    server.join();
  }

  /** Files by file:// locations, without Hadoop. */
  public static final class Local implements FileIO {
    private static File at(String location) {
      return new File(URI.create(location));
    }

    @Override
    public InputFile newInputFile(String location) {
      InputFile file = Files.localInput(at(location));
      return new InputFile() {
        @Override
        public long getLength() {
          return file.getLength();
        }

        @Override
        public SeekableInputStream newStream() {
          return file.newStream();
        }

        @Override
        public String location() {
          return location;
        }

        @Override
        public boolean exists() {
          return file.exists();
        }
      };
    }

    @Override
    public OutputFile newOutputFile(String location) {
      OutputFile file = Files.localOutput(at(location));
      return new OutputFile() {
        @Override
        public PositionOutputStream create() {
          return file.create();
        }

        @Override
        public PositionOutputStream createOrOverwrite() {
          return file.createOrOverwrite();
        }

        @Override
        public String location() {
          return location;
        }

        @Override
        public InputFile toInputFile() {
          return newInputFile(location);
        }
      };
    }

    @Override
    public void deleteFile(String location) {
      at(location).delete();
    }
  }
}
